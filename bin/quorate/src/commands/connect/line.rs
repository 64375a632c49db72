//! What a line that somebody types means.

use quorate_client::socket::Say;

/// A line.
#[derive(Debug, PartialEq)]
pub enum Line {
    /// Say this.
    Say(Say),
    /// Lines without a name go to this user from now on.
    To(String),
    /// Go.
    Quit,
    /// Nothing.
    Empty,
}

/// Reads a line; `to` is whom it goes to where it names nobody.
pub fn read(line: &str, to: Option<&str>) -> Result<Line, String> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(Line::Empty);
    }
    if let Some(command) = line.strip_prefix('/') {
        return read_command(command);
    }
    let (name, content) = match line.split_once(':') {
        Some((name, content)) if is_name(name) => (name, content.trim_start()),
        Some(_) | None => match to {
            Some(to) => return Ok(Line::Say(Say::Message { to: to.into(), content: line.into() })),
            None => return Err("whom? Write `bob: hello`, or `/to bob` before".into()),
        },
    };
    let content = content.to_owned();
    Ok(Line::Say(match name.strip_prefix('#') {
        Some(room) => Say::RoomMessage { room: room.into(), content },
        None => Say::Message { to: name.into(), content },
    }))
}

/// Whether what stands before a colon is meant as a name: `see: x` is, `see this: x` is not, and neither is an address.
fn is_name(text: &str) -> bool {
    let name = text.strip_prefix('#').unwrap_or(text);
    !name.is_empty() && !name.contains([' ', '/']) && !matches!(name, "http" | "https" | "ws" | "wss")
}

fn read_command(text: &str) -> Result<Line, String> {
    let (command, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    let one = |what: &str| {
        let is_one = !rest.is_empty() && !rest.contains(' ');
        is_one.then(|| rest.to_owned()).ok_or_else(|| format!("write `/{command} {what}`"))
    };
    let room = || one("ROOM").map(|room| room.trim_start_matches('#').to_owned());
    Ok(match command {
        "quit" => Line::Quit,
        "to" => Line::To(one("USER")?),
        "join" => Line::Say(Say::Join { room: room()? }),
        "leave" => Line::Say(Say::Leave { room: room()? }),
        "who" if rest.is_empty() => return Err("write `/who USER USER ...`".into()),
        "who" => Line::Say(Say::Who { users: rest.split_whitespace().map(Into::into).collect() }),
        "all" => Line::Say(Say::Broadcast { content: rest.into() }),
        _ => {
            return Err(format!(
                "/{command} is no command; there are /to, /join, /leave, /who, /all and /quit"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(name: &str, content: &str) -> Line {
        Line::Say(Say::Message { to: name.into(), content: content.into() })
    }

    #[test]
    fn a_line_says_to_whom_it_is() {
        assert_eq!(read("bob: hello", None), Ok(to("bob", "hello")));
        assert_eq!(read("bob:hello: you", Some("carol")), Ok(to("bob", "hello: you")));
        assert_eq!(read(" hello ", Some("carol")), Ok(to("carol", "hello")));
        assert_eq!(read("look at this: x", Some("carol")), Ok(to("carol", "look at this: x")));
        assert_eq!(read("https://a", Some("carol")), Ok(to("carol", "https://a")));
        assert!(read("hello", None).is_err());
        assert_eq!(read("  ", None), Ok(Line::Empty));
        let room = Say::RoomMessage { room: "lobby".into(), content: "hi".into() };
        assert_eq!(read("#lobby: hi", None), Ok(Line::Say(room)));
    }

    #[test]
    fn commands_begin_with_a_slash() {
        assert_eq!(read("/quit", None), Ok(Line::Quit));
        assert_eq!(read("/to bob", None), Ok(Line::To("bob".into())));
        assert_eq!(read("/join #lobby", None), Ok(Line::Say(Say::Join { room: "lobby".into() })));
        assert_eq!(read("/leave lobby", None), Ok(Line::Say(Say::Leave { room: "lobby".into() })));
        let users = vec!["alice".into(), "bob".into()];
        assert_eq!(read("/who alice  bob", None), Ok(Line::Say(Say::Who { users })));
        assert_eq!(read("/all hi you", None), Ok(Line::Say(Say::Broadcast { content: "hi you".into() })));
        for bad in ["/to", "/to a b", "/who", "/join", "/x"] {
            assert!(read(bad, None).is_err(), "{bad}");
        }
    }
}
