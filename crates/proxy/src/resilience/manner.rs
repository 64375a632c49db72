//! How those who send requests to a service want its workers chosen. Those who want the same share one table.

use quorate_model::{
    policy::{Balancing, KeySource},
    route::Forwarding,
};

/// By what, and among whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner<'a> {
    pub way: Way<'a>,
    /// Among those that offer this version; `None`: as the service's policy says, else among all.
    pub version: Option<&'a str>,
}

/// By what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way<'a> {
    /// By the service's path: as its policy says, else by score.
    ByPath,
    /// By a route that says nothing of it: as the service's policy says, else p2c.
    ByRoute,
    /// By a route that does.
    Own(Balancing, Option<&'a KeySource>),
}

/// The same, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptManner {
    way: KeptWay,
    version: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum KeptWay {
    ByPath,
    ByRoute,
    Own(Balancing, Option<KeySource>),
}

impl<'a> Manner<'a> {
    /// Of requests by the service's path.
    pub const BY_PATH: Self = Self { way: Way::ByPath, version: None };

    /// Of a route's requests.
    pub fn of(forwarding: Option<&'a Forwarding>) -> Self {
        let own = forwarding.and_then(|of| Some(Way::Own(of.balancing?, of.hash_on.as_ref())));
        Self { way: own.unwrap_or(Way::ByRoute), version: None }
    }

    /// The same, among those that offer this version.
    pub fn of_version(self, version: &'a str) -> Self {
        Self { version: Some(version), ..self }
    }

    pub fn kept(self) -> KeptManner {
        let way = match self.way {
            Way::ByPath => KeptWay::ByPath,
            Way::ByRoute => KeptWay::ByRoute,
            Way::Own(balancing, key) => KeptWay::Own(balancing, key.cloned()),
        };
        KeptManner { way, version: self.version.map(Into::into) }
    }
}

impl KeptManner {
    pub fn get(&self) -> Manner<'_> {
        let way = match &self.way {
            KeptWay::ByPath => Way::ByPath,
            KeptWay::ByRoute => Way::ByRoute,
            KeptWay::Own(balancing, key) => Way::Own(*balancing, key.as_ref()),
        };
        Manner { way, version: self.version.as_deref() }
    }
}
