//! What a node alone was told.

use super::Rig;
use quorate_model::{RoutingKey, SandboxParts, SandboxRule, route::Target};
use quorate_routing::local::{Mode, Rules};
use std::sync::Arc;

/// Rules by key.
pub fn rules(all: &[(&str, Vec<SandboxRule>)]) -> Rules {
    let sandbox =
        |rules: &Vec<SandboxRule>| SandboxParts { rules: rules.clone(), ttl: None }.validate().unwrap();
    all.iter().map(|(key, rules)| (RoutingKey::parse(key).unwrap(), Arc::new(sandbox(rules)))).collect()
}

impl Rig {
    /// Takes the place of what it was told before.
    pub fn told_here(&self, mode: Mode, default: Option<&str>, rules: &Rules) {
        let default = default.map(|text| Target::parse_versioned("default-target", text).unwrap());
        self.local.store(Arc::new(self.local.get().replaced(mode, default.as_ref(), rules)));
    }

    /// A gateway with this default target.
    pub fn with_default(&self, target: &str) {
        self.told_here(Mode::Gateway, Some(target), &Rules::new());
    }
}
