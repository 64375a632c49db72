//! The form in which paths are compared.
//!
//! Two spellings of one path must not meet two routes: a route that protects `/admin` would be dodged by `/%61dmin`,
//! which is the same to whoever serves it (RFC 3986, 6.2.2). So paths are compared, a route's and a request's alike,
//! with every escape undone that stands for a printable ASCII character, and every other byte escaped. Three are left
//! as they are: `%2F` and `%5C`, since a slash that was hidden is none to some servers and one to others, and `%25`, or
//! an escaped escape would become one. (A `%` that begins no escape stands for itself, so it is one of these.) What reads differently to different servers in spite of that (`..`, `//`, a
//! hidden slash) is the reader's affair: `quorate_routing::route::path`.

use std::borrow::Cow;

/// The form of a path that is compared. Borrowed where it is that already, as nearly all are.
pub fn canonical(path: &str) -> Cow<'_, str> {
    if path.bytes().all(|b| b != b'%' && b.is_ascii()) {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(spelt(path))
    }
}

fn spelt(path: &str) -> String {
    let mut canonical = String::with_capacity(path.len());
    let bytes = path.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = if *byte == b'%' { escape(&bytes[at + 1..]) } else { None };
        let (byte, taken) = escaped.map_or((*byte, 1), |byte| (byte, 3));
        let is_plain = (byte.is_ascii_graphic() || byte == b' ') && !matches!(byte, b'/' | b'\\' | b'%');
        if is_plain || (escaped.is_none() && byte.is_ascii() && byte != b'%') {
            canonical.push(char::from(byte));
        } else {
            canonical.push('%');
            canonical.push(digit(byte >> 4));
            canonical.push(digit(byte & 15));
        }
        at += taken;
    }
    canonical
}

fn escape(digits: &[u8]) -> Option<u8> {
    let value = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    Some((value(0)? << 4 | value(1)?) as u8) // two digits of four bits
}

fn digit(value: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(value & 15)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_a_path_are_one() {
        for (path, expected) in [
            ("/a/b", "/a/b"),
            ("/%61dmin", "/admin"),
            ("/%41%6a%4A", "/AjJ"),
            ("/a%20b", "/a b"),
            ("/a%3bb%40", "/a;b@"),
            ("/%2e%2E/x", "/../x"),
            ("/a%2fb%5c", "/a%2Fb%5C"),
            ("/a%25b", "/a%25b"),
            ("/a%252fb", "/a%252fb"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/café", "/caf%C3%A9"),
            ("/a%0ab%7f", "/a%0Ab%7F"),
            ("/a%zz%4", "/a%25zz%254"),
            ("/%", "/%25"),
            ("/%2%46", "/%252F"),
        ] {
            assert_eq!(canonical(path), expected, "{path}");
            assert_eq!(canonical(&canonical(path)), expected, "{path}: it stays");
        }
    }
}
