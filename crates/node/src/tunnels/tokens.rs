//! Who may open tunnels.
//!
//! Whoever holds a tunnel's name gets the requests that are meant for it, so nobody may who was not let in: without a
//! file only this machine may, and only where nobody else reaches the management listener.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use quorate_model::{TunnelName, limit};
use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::watch;

/// Shorter tokens can be guessed.
const TOKEN_BYTES_MIN: usize = 16;
/// Longer ones are refused: a header has to carry them.
const TOKEN_BYTES_MAX: usize = 4 << 10;
/// More lines are refused: each token that comes is held against all of them.
const LINES_MAX: usize = 10_000;
/// How many beginnings of names somebody is told that a token is for.
const NAMES_TOLD_MAX: usize = 20;
/// Larger files are refused.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What the file says.
#[derive(PartialEq, Eq)]
pub struct Tokens(Vec<Grant>);

/// One line of it.
#[derive(PartialEq, Eq)]
struct Grant {
    /// How the names begin that it is for; empty: all names.
    names: Box<str>,
    token: Box<str>,
}

/// A file of tokens that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It can't be read.
    #[error("{path}: {source}")]
    Unread {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Lines of it say nothing that is understood. What they say is not shown: it may be a token.
    #[error(
        "{path}: {}; allowed: a token of {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} visible letters, alone or behind the beginning of tunnels' names and a space; `* ` stands for all names; # begins a comment",
        in_words(lines)
    )]
    Lines {
        /// Which file.
        path: PathBuf,
        /// Which lines, from 1, and what is wrong with each.
        lines: Vec<(usize, &'static str)>,
    },
    /// It says too much, or nothing.
    #[error("{path}: {problem}; allowed: 1 to {LINES_MAX} tokens")]
    Whole {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
}

fn in_words(lines: &[(usize, &'static str)]) -> String {
    const TOLD_MAX: usize = 20;
    let told = lines.iter().take(TOLD_MAX).map(|(line, problem)| format!("line {line}: {problem}"));
    let more = lines.len().checked_sub(TOLD_MAX).filter(|more| *more > 0);
    told.chain(more.map(|more| format!("and {more} more"))).collect::<Vec<_>>().join(", ")
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

impl Tokens {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, Unusable> {
        let unread = |source| Unusable::Unread { path: path.into(), source };
        let mut text = String::new();
        let file = File::open(path).map_err(unread)?;
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unread)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(Unusable::Whole { path: path.into(), problem: "it is larger than 16 MiB" });
        }
        Self::parse(&text).map_err(|wrong| match wrong {
            Wrong::Lines(lines) => Unusable::Lines { path: path.into(), lines },
            Wrong::Whole(problem) => Unusable::Whole { path: path.into(), problem },
        })
    }

    fn parse(text: &str) -> Result<Self, Wrong> {
        let (mut grants, mut wrong) = (Vec::new(), Vec::new());
        for (nth, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match Grant::parse(line) {
                Ok(grant) => grants.push(grant),
                Err(problem) => wrong.push((nth, problem)),
            }
        }
        if !wrong.is_empty() {
            return Err(Wrong::Lines(wrong));
        }
        match grants.len() {
            0 => Err(Wrong::Whole("it has no token")),
            count if count > LINES_MAX => Err(Wrong::Whole("it has too many tokens")),
            _ => Ok(Self(grants)),
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// What a token is good for. Each one is looked at, whatever was found before: how long it takes tells nothing.
    fn judge(&self, name: &str, token: &str) -> Judgement {
        let mut judgement = Judgement::Unknown;
        for grant in &self.0 {
            let is_it = verify_slices_are_equal(grant.token.as_bytes(), token.as_bytes()).is_ok();
            let is_for = name.starts_with(&*grant.names);
            judgement = match (is_it, is_for, judgement) {
                (true, true, _) => Judgement::Good,
                (true, false, Judgement::Unknown) => Judgement::ForOthers,
                (_, _, judgement) => judgement,
            };
        }
        judgement
    }

    /// How the names begin that a token is for.
    fn names_of(&self, token: &str) -> Vec<Box<str>> {
        let is_it =
            |grant: &&Grant| verify_slices_are_equal(grant.token.as_bytes(), token.as_bytes()).is_ok();
        self.0.iter().filter(is_it).take(NAMES_TOLD_MAX).map(|grant| grant.names.clone()).collect()
    }
}

fn is_of_names(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte)
}

/// Whether a word that stands alone may be the beginning of tunnels' names whose token was forgotten: then everybody who
/// guesses a name would be let in, under all names. What a program makes of chance in hexadecimal is taken for a token:
/// nobody begins names like that.
fn may_begin_names(word: &str) -> bool {
    let is_hexadecimal = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-');
    let is_of_chance = word.bytes().all(is_hexadecimal)
        && word.bytes().any(|b| b.is_ascii_digit())
        && word.bytes().any(|b| b.is_ascii_alphanumeric())
        && !word.ends_with('-');
    word.len() >= TOKEN_BYTES_MIN && word.bytes().all(is_of_names) && !is_of_chance
}

impl Grant {
    /// Of a line that is neither empty nor a comment.
    fn parse(line: &str) -> Result<Self, &'static str> {
        let mut words = line.split_ascii_whitespace();
        let (names, token) = match (words.next(), words.next(), words.next()) {
            (Some(word), None, None) if may_begin_names(word) => {
                return Err("it may be the beginning of names without its token");
            }
            (Some(token), None, None) | (Some("*"), Some(token), None) => ("", token),
            (Some(names), Some(token), None) => (names, token),
            _ => return Err("it has more than two words"),
        };
        if !(TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len()) {
            return Err("its token is too short or too long");
        }
        if !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("its token has a letter that is not allowed");
        }
        if names.len() > limit::TUNNEL_NAME_BYTES_MAX || !names.bytes().all(is_of_names) {
            return Err("no tunnel's name begins like that");
        }
        Ok(Self { names: names.into(), token: token.into() })
    }
}

enum Wrong {
    Lines(Vec<(usize, &'static str)>),
    Whole(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judgement {
    Good,
    ForOthers,
    Unknown,
}

/// Who is let in.
#[derive(Debug)]
pub(crate) enum Guard {
    /// Who shows one of these, as they are now.
    Tokens(watch::Receiver<Arc<Tokens>>),
    /// Who comes from this machine.
    ThisMachine,
    /// Nobody.
    Nobody,
}

/// Why somebody is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// It shows no token, or one that is not known.
    Unknown,
    /// What it shows is for tunnels of other names, which begin so.
    OtherNames(Vec<Box<str>>),
    /// There are no tokens, and it does not come from this machine alone.
    Closed,
}

impl Guard {
    /// As the configuration has it.
    pub fn new(tokens: Option<watch::Receiver<Arc<Tokens>>>, management: SocketAddr) -> Self {
        match tokens {
            Some(tokens) => Self::Tokens(tokens),
            None if management.ip().is_loopback() => Self::ThisMachine,
            None => Self::Nobody,
        }
    }

    pub fn admit(&self, name: &str, token: Option<&str>, from: Option<IpAddr>) -> Result<(), Stranger> {
        match self {
            Self::Tokens(tokens) => {
                let tokens = tokens.borrow();
                let token = token.ok_or(Stranger::Unknown)?;
                match tokens.judge(name, token) {
                    Judgement::Good => Ok(()),
                    // Whoever holds the token may know.
                    Judgement::ForOthers => Err(Stranger::OtherNames(tokens.names_of(token))),
                    Judgement::Unknown => Err(Stranger::Unknown),
                }
            }
            Self::ThisMachine if from.is_some_and(|from| from.to_canonical().is_loopback()) => Ok(()),
            Self::ThisMachine | Self::Nobody => Err(Stranger::Closed),
        }
    }

    /// What ends with the token that was shown; `None`: it was not that which let somebody in.
    pub fn pass(&self, name: &TunnelName, token: Option<String>) -> Option<Pass> {
        match (self, token) {
            (Self::Tokens(tokens), Some(token)) => {
                Some(Pass { name: name.clone(), token: token.into(), tokens: tokens.clone() })
            }
            (Self::Tokens(_) | Self::ThisMachine | Self::Nobody, _) => None,
        }
    }
}

/// The token that let a tunnel in. Not shown to anybody.
pub(crate) struct Pass {
    name: TunnelName,
    token: Box<str>,
    tokens: watch::Receiver<Arc<Tokens>>,
}

impl Pass {
    /// Resolves when the token is good for the name no more.
    pub async fn revoked(&self) {
        let mut tokens = self.tokens.clone();
        let is_revoked = |now: &Arc<Tokens>| now.judge(self.name.as_str(), &self.token) != Judgement::Good;
        if tokens.wait_for(is_revoked).await.is_err() {
            // Nobody looks at the file any more: the node ends.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "0123456789abcdef";
    const TEAM: &str = "team-token-0123456789";

    fn tokens(text: &str) -> Arc<Tokens> {
        Arc::new(Tokens::parse(text).ok().expect("a file"))
    }

    fn guard(text: &str) -> Guard {
        Guard::Tokens(watch::channel(tokens(text)).1)
    }

    #[tokio::test]
    async fn a_pass_ends_with_its_token_and_with_nothing_else() {
        let (sender, receiver) = watch::channel(tokens(&format!("{ALL}\nteam-a. {TEAM}\n")));
        let guard = Guard::new(Some(receiver), "0.0.0.0:1".parse().expect("an address"));
        let pass = |name: &str, token: &str| {
            let name = TunnelName::parse(name).expect("a name");
            guard.pass(&name, Some(token.to_owned())).expect("a token let it in")
        };
        let (of_all, of_team) = (pass("web", ALL), pass("team-a.web", TEAM));
        let is_revoked = |pass: &Pass| futures_util::FutureExt::now_or_never(pass.revoked()).is_some();
        assert!(!is_revoked(&of_all) && !is_revoked(&of_team));
        sender.send_replace(tokens(&format!("# {ALL}\nteam-a. {TEAM}\n")));
        assert!(is_revoked(&of_all) && !is_revoked(&of_team));
        sender.send_replace(tokens(&format!("{ALL}\nteam-b. {TEAM}\n")));
        assert!(!is_revoked(&of_all) && is_revoked(&of_team), "it is for other names now");
        assert_eq!(guard.admit("web", Some(ALL), None), Ok(()), "as it is now");
        drop(sender);
        assert!(!is_revoked(&of_all), "a node that ends has ways of its own");
        assert!(Guard::ThisMachine.pass(&of_all.name, None).is_none());
    }

    /// Scenario: somebody forgets the token behind a long beginning of names. Cause: a word alone was a token of all
    /// names, and the beginnings of names are known to many.
    #[test]
    fn the_beginning_of_names_without_a_token_is_no_token() {
        for forgotten in [
            "team-a.checkout-service.",
            "team-checkout-service",
            "0123456789.abcdef",
            "abcdefabcdefabcdef",
            "0123456789abcdef-",
        ] {
            let wrong = Tokens::parse(&format!("{ALL}\n{forgotten}\n")).err();
            let is_told = matches!(wrong, Some(Wrong::Lines(lines)) if lines == [(2, "it may be the beginning of names without its token")]);
            assert!(is_told, "{forgotten}");
            let all = guard(&format!("* {forgotten}\n"));
            assert_eq!(all.admit("web", Some(forgotten), None), Ok(()), "who says so means it");
        }
        for token in
            [ALL, "550e8400-e29b-41d4-a716-446655440000", "A-token-with-a-capital", "words+that=are.no-name"]
        {
            assert_eq!(guard(token).admit("web", Some(token), None), Ok(()), "{token}");
        }
    }

    #[test]
    fn a_token_is_good_for_the_names_of_its_line() {
        let guard = guard(&format!("# for all\n\n{ALL}\nteam-a.  {TEAM}\n"));
        let admit = |name, token| guard.admit(name, token, None);
        assert_eq!(admit("web", Some(ALL)), Ok(()));
        assert_eq!(admit("team-a.web", Some(TEAM)), Ok(()));
        assert_eq!(admit("team-b.web", Some(TEAM)), Err(Stranger::OtherNames(vec!["team-a.".into()])));
        for wrong in [None, Some(""), Some("0123456789abcdeF"), Some("0123456789abcdef0"), Some("team-a.")] {
            assert_eq!(admit("team-a.web", wrong), Err(Stranger::Unknown), "{wrong:?}");
        }
    }

    #[test]
    fn without_a_file_only_this_machine_is_let_in_and_only_where_nobody_else_gets() {
        let ip = |text: &str| Some(text.parse().expect("an address"));
        let closed = Err(Stranger::Closed);
        let here = Guard::new(None, "127.0.0.1:9090".parse().expect("an address"));
        assert_eq!(here.admit("a", None, ip("127.0.0.1")), Ok(()));
        assert_eq!(here.admit("a", None, ip("::ffff:127.0.0.1")), Ok(()));
        assert_eq!(here.admit("a", Some(ALL), ip("10.0.0.1")), closed);
        assert_eq!(here.admit("a", None, None), closed);
        let open = Guard::new(None, "0.0.0.0:9090".parse().expect("an address"));
        assert_eq!(open.admit("a", None, ip("127.0.0.1")), closed, "a proxy of this machine would be let in");
        let guarded =
            Guard::new(Some(watch::channel(tokens(ALL)).1), "127.0.0.1:9090".parse().expect("an address"));
        assert_eq!(guarded.admit("a", None, ip("127.0.0.1")), Err(Stranger::Unknown));
    }

    #[test]
    fn a_file_that_is_not_understood_is_refused_and_not_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens");
        let check = |text: &str, problem: &str| {
            std::fs::write(&path, text).expect("written");
            let wrong = Tokens::read(&path).expect_err(text).to_string();
            assert!(wrong.contains(problem) && wrong.contains("allowed:"), "{wrong}");
            assert!(!wrong.contains("hunter2"), "{wrong}");
        };
        check("", "it has no token");
        check("# nothing\n", "it has no token");
        check("hunter2", "line 1: its token is too short");
        check("# a\na hunter2-hunter2-hunter2 b", "line 2: it has more than two words");
        check("UPPER hunter2-hunter2-hunter2", "line 1: no tunnel's name begins like that");
        let two = "hunter2\n# fine\nUPPER hunter2-hunter2-hunter2\n";
        check(two, "line 1: its token is too short or too long, line 3: no tunnel's name begins like that");
        check(&"hunter2\n".repeat(23), "line 20: its token is too short or too long, and 3 more; allowed");
        let shown = format!("{:?}", Tokens::parse(ALL).ok());
        assert!(!shown.contains(ALL), "{shown}");
    }
}
