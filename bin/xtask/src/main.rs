//! `cargo xtask <command>`: the repository's own commands, one table.
//!
//! CI and developers run the same thing: `.ci/run` calls `cargo xtask ci` and nothing else, so a red build can
//! always be repeated at a desk. The checks that no compiler makes (layers, sizes, links) live here as plain
//! functions with tests of their own, because a check that can't fail is worse than none.

mod ci;
mod containers;
mod layers;
mod manifests;
mod metadata;
mod sim;
mod tidy;
mod workspace;

use std::process::ExitCode;

use workspace::{Failure, Workspace};

struct Command {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&Workspace, &[String]) -> Result<(), Failure>,
}

const COMMANDS: &[Command] = &[
    Command { name: "ci", arguments: "", about: "everything that CI runs, in its order", run: ci::run },
    Command { name: "fmt", arguments: "", about: "format all code in place", run: fmt },
    Command { name: "lint", arguments: "", about: "clippy on all targets; warnings are errors", run: lint },
    Command { name: "test", arguments: "[ARGS]", about: "all tests, or cargo test with ARGS", run: test },
    Command {
        name: "sim",
        arguments: "--seeds N [--start S] [--check-determinism] [--scenario NAME]",
        about: "real nodes on simulated network, clock and disk",
        run: sim::run,
    },
    Command {
        name: "containers",
        arguments: "[--released | --binary FILE]",
        about: "the image, and a cluster in containers under faults",
        run: containers::run,
    },
    Command {
        name: "layers",
        arguments: "",
        about: "dependencies between crates run downwards only",
        run: layers::run,
    },
    Command {
        name: "tidy",
        arguments: "",
        about: "sizes, banned words, manifests, docs links",
        run: tidy::run,
    },
    Command {
        name: "manifests",
        arguments: "[--tools]",
        about: "what deploy/ tells Kubernetes and Prometheus",
        run: manifests::run,
    },
];

fn main() -> ExitCode {
    match dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Reported { .. }) {
                eprintln!("xtask: {failure}");
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn dispatch() -> Result<(), Failure> {
    let args = arguments()?;
    let Some((name, rest)) = args.split_first() else {
        return Err(Failure::Usage(format!("no command given\n\n{}", help())));
    };
    if name == "--help" || name == "-h" {
        print!("{}", help());
        return Ok(());
    }
    let command = find(name)?;
    if command.arguments.is_empty() && !rest.is_empty() {
        return Err(Failure::Usage(format!("`{name}` takes no arguments; got `{}`", rest.join(" "))));
    }
    (command.run)(&Workspace::from_env()?, rest)
}

fn find(name: &str) -> Result<&'static Command, Failure> {
    COMMANDS
        .iter()
        .find(|command| command.name == name)
        .ok_or_else(|| Failure::Usage(format!("unknown command `{name}`\n\n{}", help())))
}

fn arguments() -> Result<Vec<String>, Failure> {
    std::env::args_os()
        .skip(1)
        .map(|arg| arg.into_string().map_err(|arg| Failure::Usage(format!("not UTF-8: {}", arg.display()))))
        .collect()
}

fn help() -> String {
    let mut text = String::from("usage: cargo xtask <command>\n\n");
    for Command { name, arguments, about, .. } in COMMANDS {
        text.push_str(&format!("  {name:<10} {about}\n"));
        if !arguments.is_empty() {
            text.push_str(&format!("  {:<10} cargo xtask {name} {arguments}\n", ""));
        }
    }
    text
}

fn fmt(workspace: &Workspace, _: &[String]) -> Result<(), Failure> {
    workspace.cargo(["fmt", "--all"]).run()
}

fn lint(workspace: &Workspace, _: &[String]) -> Result<(), Failure> {
    workspace.cargo(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]).run()
}

fn test(workspace: &Workspace, args: &[String]) -> Result<(), Failure> {
    workspace.cargo(test_arguments(args)).run()
}

/// `--workspace` would silently win over a `-p` of the caller, so it is left out where one is given.
fn test_arguments(args: &[String]) -> Vec<String> {
    let names_a_package = args
        .iter()
        .take_while(|arg| *arg != "--")
        .any(|arg| arg.starts_with("--package") || (arg.starts_with("-p") && !arg.starts_with("--")));
    let mut all = vec!["test".to_owned(), "--locked".to_owned()];
    if !names_a_package {
        all.push("--workspace".to_owned());
    }
    all.extend_from_slice(args);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tested(args: &[&str]) -> String {
        test_arguments(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()).join(" ")
    }

    #[test]
    fn test_without_arguments_covers_the_workspace() {
        assert_eq!(tested(&[]), "test --locked --workspace");
        assert_eq!(tested(&["lease"]), "test --locked --workspace lease");
    }

    #[test]
    fn test_of_one_package_is_not_widened_to_the_workspace() {
        assert_eq!(tested(&["-p", "quorate-model"]), "test --locked -p quorate-model");
        assert_eq!(tested(&["--package=quorate-model"]), "test --locked --package=quorate-model");
    }

    #[test]
    fn arguments_of_the_test_binary_do_not_choose_packages() {
        assert_eq!(tested(&["--", "-p"]), "test --locked --workspace -- -p");
    }

    #[test]
    fn an_unknown_command_is_a_usage_error_with_exit_code_2() {
        let failure = find("deploy").err().expect("there is no such command");
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.to_string().contains("unknown command `deploy`"), "{failure}");
    }

    #[test]
    fn help_names_every_command() {
        for command in COMMANDS {
            assert!(help().contains(&format!("  {}", command.name)), "{} is missing", command.name);
        }
    }
}
