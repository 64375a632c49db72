//! The image: built with the real Dockerfile, and looked at from outside.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::engine::Engine;
use crate::workspace::{Failure, Workspace};

pub const NAME: &str = "quorate:test";

/// How the program is compiled.
pub enum Profile {
    /// As released.
    Released,
    /// The same code, less optimised, and built in less time.
    Quick,
}

/// Builds it from the checkout. Returns its size in bytes.
pub fn build(engine: &Engine, workspace: &Workspace, profile: &Profile) -> Result<u64, Failure> {
    let mut command = engine.client(["build", "--progress", "plain", "--file"]);
    command.arg(workspace.root().join("deploy/docker/Dockerfile")).args(["--tag", NAME]);
    if matches!(profile, Profile::Quick) {
        command.args([
            "--build-arg",
            "LTO=off",
            "--build-arg",
            "CODEGEN_UNITS=16",
            "--build-arg",
            "OPT_LEVEL=1",
        ]);
    }
    command.arg(workspace.root());
    run(command)?;
    let image = engine.inspect(NAME)?;
    image["Size"].as_u64().ok_or_else(|| Failure::Check("the image has no size".to_owned()))
}

/// Runs a `docker build`. Its talk is shown only when it fails: thousands of lines otherwise.
pub fn run(mut command: Command) -> Result<(), Failure> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|e| Failure::Check(format!("`docker build` can't be started: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let lines: Vec<_> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(60)..].join("\n");
    Err(Failure::Check(format!("`docker build` ended with {}:\n{last}", output.status)))
}

/// What a platform relies on: who it runs as, how it is stopped, where its data is.
pub fn check(engine: &Engine) -> Result<(), Failure> {
    let config = engine.inspect(NAME)?["Config"].clone();
    let expected = [
        ("User", json!("65532:65532")),
        ("StopSignal", json!("SIGTERM")),
        ("Entrypoint", json!(["/quorate"])),
        ("Cmd", json!(["serve"])),
        ("Volumes", json!({"/var/lib/quorate": {}})),
        ("ExposedPorts", json!({"7070/tcp": {}, "8080/tcp": {}, "8082/tcp": {}, "9090/tcp": {}})),
    ];
    for (key, value) in expected {
        same(key, &config[key], &value)?;
    }
    same("the health check", &config["Healthcheck"]["Test"], &json!(["CMD", "/quorate", "healthcheck"]))?;
    for label in ["title", "description", "licenses", "version", "revision"] {
        let key = format!("org.opencontainers.image.{label}");
        if config["Labels"][&key].as_str().is_none_or(str::is_empty) {
            return Err(Failure::Check(format!("the image has no label {key}")));
        }
    }
    no_shell(engine)
}

fn same(what: &str, is: &Value, expected: &Value) -> Result<(), Failure> {
    if is == expected {
        return Ok(());
    }
    Err(Failure::Check(format!("{what} of the image is {is}; expected: {expected}")))
}

fn no_shell(engine: &Engine) -> Result<(), Failure> {
    for shell in ["/bin/sh", "sh", "/bin/bash", "/usr/bin/env"] {
        if engine.docker(["run", "--rm", "--entrypoint", shell, NAME]).is_ok() {
            return Err(Failure::Check(format!("the image has {shell}")));
        }
    }
    let version = engine.docker(["run", "--rm", "--read-only", NAME, "--version"])?;
    if version.starts_with("quorate ") {
        return Ok(());
    }
    Err(Failure::Check(format!("`--version` in the image says `{version}`")))
}
