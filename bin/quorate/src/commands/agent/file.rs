//! The agent's file, key by key. Each key that nobody asks for is a mistake of the file, and told with its line.

use quorate_model::limit::LABEL_BYTES_MAX;
use quorate_node::config::{ConfigError, ConfigFile, Line, Origin, Wrong, Yaml};

/// A setting, and what flag or environment say of it.
pub struct Given {
    /// Of the file; the flag has dashes.
    pub key: &'static str,
    /// Wins over the file.
    pub outside: Option<(Origin, String)>,
}

impl Given {
    pub fn by_flag(key: &'static str, flag: Option<&String>) -> Self {
        let origin = Origin::Flag(key.replace('_', "-"));
        Self { key, outside: flag.map(|text| (origin, text.clone())) }
    }

    pub fn by_file(key: &'static str) -> Self {
        Self { key, outside: None }
    }
}

/// Reads values, and keeps what is wrong with them.
pub struct Reader {
    file: String,
    errors: Vec<ConfigError>,
    top: Section,
}

/// A mapping of the file whose entries are taken out one by one.
pub struct Section {
    /// What stands before each key, such as `services[2].`.
    above: String,
    /// Where the section begins.
    line: u64,
    entries: Vec<(Line<String>, Yaml)>,
    /// What was asked for.
    known: Vec<&'static str>,
}

impl Section {
    pub fn new(above: String, line: u64, entries: Vec<(Line<String>, Yaml)>) -> Self {
        Self { above, line, entries, known: Vec::new() }
    }

    /// Whether a key is there with something behind it.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, value)| name.value == key && *value != Yaml::Null)
    }

    /// A value and its place. `key:` with nothing behind it says nothing.
    fn take(&mut self, key: &'static str) -> Option<(Place, Yaml)> {
        self.known.push(key);
        let at = self.entries.iter().position(|(name, _)| name.value == key)?;
        let (name, value) = self.entries.remove(at);
        let place = Place { key: format!("{}{key}", self.above), line: name.line };
        (value != Yaml::Null).then_some((place, value))
    }
}

/// Where a value stands.
#[derive(Clone, Debug)]
pub struct Place {
    pub key: String,
    pub line: u64,
}

impl Reader {
    pub fn of(file: Option<&ConfigFile>) -> Self {
        let name = file.map_or_else(String::new, |file| file.path.clone());
        let mut reader =
            Self { file: name, errors: Vec::new(), top: Section::new(String::new(), 1, Vec::new()) };
        match file.map(|file| Yaml::read(&file.text)) {
            None | Some(Ok(Yaml::Null)) => {}
            Some(Ok(Yaml::Map(entries))) => reader.top.entries = entries,
            Some(Ok(Yaml::Scalar(_) | Yaml::List(_))) => {
                let allowed = "lines such as `server: http://10.0.0.1:9090`";
                reader.at_file(Wrong::new("is no mapping of keys to values", allowed));
            }
            Some(Err(wrong)) => reader.at_file(wrong),
        }
        reader
    }

    /// A setting of its own: what the flag says, else what the file says.
    pub fn value<T>(&mut self, given: Given, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
        let of_file = self.top.take(given.key);
        match given.outside {
            Some((origin, text)) => self.outside(origin, &text, parse),
            None => of_file.and_then(|(place, value)| self.scalar(place, value, parse)),
        }
    }

    /// The same for one that may be a list; its items are parsed together, joined by commas.
    pub fn list<T>(&mut self, given: Given, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
        let of_file = self.top.take(given.key);
        if let Some((origin, text)) = given.outside {
            return self.outside(origin, &text, parse);
        }
        let (place, value) = of_file?;
        let Yaml::List(items) = value else { return self.scalar(place, value, parse) };
        let mut texts = Vec::new();
        for item in items {
            let place = Place { line: item.line, ..place.clone() };
            texts.push(self.scalar(place, item.value, |text| Ok(text.to_owned()))?);
        }
        parse(&texts.join(",")).map_err(|wrong| self.at(place, wrong)).ok()
    }

    /// A mapping of names to scalars.
    pub fn mapping(&mut self, key: &'static str) -> Vec<(String, Option<String>)> {
        let Some((place, value)) = self.top.take(key) else { return Vec::new() };
        let Yaml::Map(entries) = value else {
            self.at(place, Wrong::new("is no mapping", "lines such as `name: value` below it"));
            return Vec::new();
        };
        let mut read = Vec::new();
        for (name, value) in entries {
            let place = Place { key: format!("{key}.{}", name.value), line: name.line };
            let long = |text: &str| text.len() > LABEL_BYTES_MAX;
            match value {
                Yaml::Scalar(text) if long(&text) || long(&name.value) => {
                    let allowed = format!("names and values of at most {LABEL_BYTES_MAX} bytes");
                    self.at(place, Wrong::new("is too long", allowed));
                }
                Yaml::Scalar(text) => read.push((name.value, Some(text))),
                Yaml::Null => read.push((name.value, None)),
                Yaml::List(_) | Yaml::Map(_) => {
                    self.at(place, Wrong::new("is no text", "true, false, a number or a text"));
                }
            }
        }
        read
    }

    /// A section of its own, by its key.
    pub fn section(&mut self, key: &'static str) -> Option<Section> {
        let (place, value) = self.top.take(key)?;
        match value {
            Yaml::Map(entries) => Some(Section::new(format!("{key}."), place.line, entries)),
            Yaml::Null | Yaml::Scalar(_) | Yaml::List(_) => {
                self.at(place, Wrong::new("is no mapping", "lines such as `name: value` below it"));
                None
            }
        }
    }

    /// The list of the file's sections.
    pub fn items(&mut self, key: &'static str) -> Option<(Place, Vec<Line<Yaml>>)> {
        let (place, value) = self.top.take(key)?;
        match value {
            Yaml::List(items) => Some((place, items)),
            Yaml::Null | Yaml::Scalar(_) | Yaml::Map(_) => {
                self.at(place, Wrong::new("is no list", "lines such as `- name: upload` below it"));
                None
            }
        }
    }

    /// A value of a section.
    pub fn inner<T>(
        &mut self,
        section: &mut Section,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let (place, value) = section.take(key)?;
        self.scalar(place, value, parse)
    }

    /// A value of a section that must be there.
    pub fn required<T>(
        &mut self,
        section: &mut Section,
        key: &'static str,
        allowed: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let there = section.has(key);
        let value = self.inner(section, key, parse);
        if !there {
            self.about(section, key, Wrong::new("is missing", allowed));
        }
        value
    }

    /// Something is wrong with a key of a section, which need not be there.
    pub fn about(&mut self, section: &Section, key: &str, wrong: Wrong) {
        self.at(Place { key: format!("{}{key}", section.above), line: section.line }, wrong);
    }

    /// All keys of a section were asked for; what is left is unknown.
    pub fn close(&mut self, section: Section) {
        let allowed = section.known.join(", ");
        for (name, _) in section.entries {
            let place = Place { key: format!("{}{}", section.above, name.value), line: name.line };
            self.at(place, Wrong::new("there is no such key", &allowed));
        }
    }

    /// Something is wrong with what the file and the flags say together.
    pub fn wrong(&mut self, field: &str, wrong: Wrong) {
        let file = if self.file.is_empty() { "the settings" } else { &self.file };
        self.errors.push(wrong.at(Origin::File(format!("{field} in {file}"))));
    }

    pub fn at(&mut self, place: Place, wrong: Wrong) {
        let Place { key, line } = place;
        self.errors.push(wrong.at(Origin::Key { key, file: self.file.clone(), line, column: None }));
    }

    /// In the order of the file.
    pub fn finish(mut self) -> Vec<ConfigError> {
        let top = std::mem::replace(&mut self.top, Section::new(String::new(), 1, Vec::new()));
        self.close(top);
        self.errors.sort_by_key(|error| match &error.origin {
            Origin::Key { line, .. } => *line,
            Origin::Flag(_) | Origin::Env(_) | Origin::LegacyEnv(_) | Origin::Default(_) => 0,
            Origin::File(_) => u64::MAX,
        });
        self.errors
    }

    fn scalar<T>(
        &mut self,
        place: Place,
        value: Yaml,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let parsed = match &value {
            Yaml::Scalar(text) => parse(text),
            Yaml::Null | Yaml::List(_) | Yaml::Map(_) => Err(Wrong::new("is no text", "one value")),
        };
        parsed.map_err(|wrong| self.at(place, wrong)).ok()
    }

    fn outside<T>(
        &mut self,
        origin: Origin,
        text: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        parse(text).map_err(|wrong| self.errors.push(wrong.at(origin))).ok()
    }

    fn at_file(&mut self, wrong: Wrong) {
        self.errors.push(wrong.at(Origin::File(self.file.clone())));
    }
}
