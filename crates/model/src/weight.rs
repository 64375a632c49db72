//! What values count for in the bounds that the replicated state keeps.
//!
//! Whether a change still fits, and how much of a history is kept, has to come out the same at every node. The size of a
//! type is no ground for that: the next version may have another one, and so may another compiler. So what a value
//! counts for is written down, and never changes without a new feature level; the tests see to it that it is no less
//! than what the value takes.

/// [`crate::route::Forwarding`].
pub(crate) const FORWARDING: usize = 536;
/// [`crate::object::Object`].
pub(crate) const OBJECT: usize = 168;
/// [`crate::object::ObjectStatus`].
pub(crate) const OBJECT_STATUS: usize = 40;
/// A number of a partition.
pub(crate) const PARTITION: usize = 4;
/// [`crate::ramp::Ramping`].
pub(crate) const RAMPING: usize = 160;
/// A share of a ramp's step.
pub(crate) const SHARE: usize = 4;
/// [`crate::sandbox::SandboxRule`].
pub(crate) const SANDBOX_RULE: usize = 208;
/// [`crate::service::ServicePolicy`].
pub(crate) const SERVICE_POLICY: usize = 224;
/// [`crate::object::StoredObject`].
pub(crate) const STORED_OBJECT: usize = 80;
/// [`crate::route::StoredRoute`].
pub(crate) const STORED_ROUTE: usize = 248;
/// [`crate::sandbox::StoredSandbox`].
pub(crate) const STORED_SANDBOX: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Partition,
        object::{Object, ObjectStatus, StoredObject},
        ramp::Ramping,
        route::{Forwarding, StoredRoute},
        sandbox::{SandboxRule, StoredSandbox},
        service::ServicePolicy,
    };

    /// Where this fails, raise the figure with a new feature level, or make the type smaller.
    #[test]
    fn nothing_counts_for_less_than_it_takes() {
        for (name, counted, size) in [
            ("Forwarding", FORWARDING, size_of::<Forwarding>()),
            ("Object", OBJECT, size_of::<Object>()),
            ("ObjectStatus", OBJECT_STATUS, size_of::<ObjectStatus>()),
            ("Partition", PARTITION, size_of::<Partition>()),
            ("Ramping", RAMPING, size_of::<Ramping>()),
            ("SandboxRule", SANDBOX_RULE, size_of::<SandboxRule>()),
            ("ServicePolicy", SERVICE_POLICY, size_of::<ServicePolicy>()),
            ("StoredObject", STORED_OBJECT, size_of::<StoredObject>()),
            ("StoredRoute", STORED_ROUTE, size_of::<StoredRoute>()),
            ("StoredSandbox", STORED_SANDBOX, size_of::<StoredSandbox>()),
            ("a share", SHARE, size_of::<u32>()),
        ] {
            assert!(size <= counted, "{name} counts for {counted} bytes, and takes {size}");
        }
    }
}
