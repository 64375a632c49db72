//! Objects of the sandbox API, and their ends.
//!
//! A change of an object makes the rules anew of every key that depends on it, in the same entry: requests meet all of
//! a change or none of it, on every node from one index on. What would come to more than the bounds allow is refused,
//! and leaves no trace: the tables are clones of their own, which cost nothing, until all is well.
//!
//! The end of a sandbox is that of a lease, as it is for sandboxes of routing keys: see [`super::sandboxes`].

use crate::{objects::ObjectTable, sandboxes::SandboxTable, state::State};
use quorate_model::{
    Event, Object, ObjectCommand, ObjectEnd, ObjectId, ObjectPrecondition, ObjectRefusal, ObjectStatus,
    Reply, RoutingKey, StoredObject, limit, object::ObjectBound,
};
use std::{collections::BTreeSet, sync::Arc};

type Changed = Result<Reply, ObjectRefusal>;

fn full(what: ObjectBound, max: usize) -> ObjectRefusal {
    ObjectRefusal::Full { what, max: max as u64 }
}

impl State {
    pub(super) fn change_object(&mut self, command: &ObjectCommand, events: &mut Vec<Event>) -> Changed {
        match command {
            ObjectCommand::Create(object) => self.create_object(object, events),
            ObjectCommand::Replace { object, precondition } => {
                self.replace_object(object, *precondition, events)
            }
            ObjectCommand::ReplaceStatus { id, status, precondition } => {
                self.replace_object_status((id, status), *precondition, events)
            }
            ObjectCommand::Delete { id, precondition } => self.delete_object(id, *precondition, events),
            ObjectCommand::End(ended) => Ok(self.end_objects(ended, events)),
        }
    }

    fn create_object(&mut self, object: &Object, events: &mut Vec<Event>) -> Changed {
        let id = object.id();
        if self.objects.get(id).is_some() {
            return Err(ObjectRefusal::Exists { id: id.clone() });
        }
        let before = self.last_epoch;
        let epoch = self.next_epoch();
        let stored = StoredObject {
            object: Arc::new(object.clone()),
            status: None,
            uid: StoredObject::uid_of(self.cluster, epoch),
            epoch,
            generation: 1,
            created_at: self.now,
            changed: self.index,
            ends: object.spec().ttl().map(|ttl| ttl.from(self.now)),
        };
        if let Err(refusal) = self.store_object(Arc::new(stored)) {
            // A refused command leaves the state as it was.
            self.last_epoch = before;
            return Err(refusal);
        }
        events.push(Event::ObjectChanged { id: id.clone() });
        Ok(Reply::Done)
    }

    /// Its time begins anew where it is given another one, and goes on where it is not: whoever puts the same every hour
    /// keeps nothing alive.
    fn replace_object(
        &mut self,
        object: &Object,
        precondition: ObjectPrecondition,
        events: &mut Vec<Event>,
    ) -> Changed {
        let standing = self.standing_object(object.id(), precondition)?;
        let (before, after) = (standing.object.spec().ttl(), object.spec().ttl());
        let ends = if before == after { standing.ends } else { after.map(|ttl| ttl.from(self.now)) };
        if *standing.object == *object {
            return Ok(Reply::Unchanged);
        }
        let is_said_anew = standing.object.text != object.text;
        let stored = StoredObject {
            object: Arc::new(object.clone()),
            generation: standing.generation + u64::from(is_said_anew),
            changed: self.index,
            ends,
            ..(*standing).clone()
        };
        self.store_object(Arc::new(stored))?;
        events.push(Event::ObjectChanged { id: object.id().clone() });
        Ok(Reply::Done)
    }

    fn replace_object_status(
        &mut self,
        (id, status): (&ObjectId, &ObjectStatus),
        precondition: ObjectPrecondition,
        events: &mut Vec<Event>,
    ) -> Changed {
        let standing = self.standing_object(id, precondition)?;
        if standing.status.as_deref() == Some(status) {
            return Ok(Reply::Unchanged);
        }
        let status = Some(Arc::new(status.clone()));
        self.store_object(Arc::new(StoredObject { status, changed: self.index, ..(*standing).clone() }))?;
        events.push(Event::ObjectChanged { id: id.clone() });
        Ok(Reply::Done)
    }

    fn delete_object(
        &mut self,
        id: &ObjectId,
        precondition: ObjectPrecondition,
        events: &mut Vec<Event>,
    ) -> Changed {
        self.standing_object(id, precondition)?;
        self.drop_object(id);
        events.push(Event::ObjectChanged { id: id.clone() });
        Ok(Reply::Done)
    }

    fn end_objects(&mut self, ended: &[ObjectEnd], events: &mut Vec<Event>) -> Reply {
        let mut reply = Reply::Unchanged;
        for ObjectEnd { id, epoch } in ended {
            let is_over = |stored: &Arc<StoredObject>| stored.epoch == *epoch && stored.is_over(self.now);
            if self.objects.get(id).is_some_and(is_over) {
                self.drop_object(id);
                events.push(Event::ObjectEnded { id: id.clone() });
                reply = Reply::Done;
            }
        }
        reply
    }

    fn standing_object(
        &self,
        id: &ObjectId,
        wanted: ObjectPrecondition,
    ) -> Result<Arc<StoredObject>, ObjectRefusal> {
        let standing = self.objects.get(id).ok_or_else(|| ObjectRefusal::Unknown { id: id.clone() })?;
        if wanted.uid.is_some_and(|uid| uid != standing.uid) {
            return Err(ObjectRefusal::Other { id: id.clone() });
        }
        if wanted.changed.is_some_and(|changed| changed != standing.changed) {
            return Err(ObjectRefusal::Changed { id: id.clone(), current: standing.changed });
        }
        Ok(standing.clone())
    }

    /// Puts an object in the place of the one of its id, with all rules that follow from it; or, if that is too much,
    /// nothing of it.
    pub(super) fn store_object(&mut self, stored: Arc<StoredObject>) -> Result<(), ObjectRefusal> {
        if self.objects.get(stored.id()).is_none() && self.objects.len() >= limit::OBJECTS_MAX {
            return Err(full(ObjectBound::Objects, limit::OBJECTS_MAX));
        }
        let before = (self.objects.clone(), self.sandboxes.clone());
        let old = self.objects.insert(stored.clone());
        let mut touched = self.objects.touched_by(&stored);
        touched.extend(old.iter().flat_map(|old| self.objects.touched_by(old)));
        self.make_rules(&touched);
        let Some(refusal) = self.too_much(&stored, (&before.0, &before.1), &touched) else { return Ok(()) };
        (self.objects, self.sandboxes) = before;
        Err(refusal)
    }

    /// Which bound is passed by what was put just now. What needs no more than before is never refused: it may be what
    /// makes room.
    fn too_much(
        &self,
        stored: &StoredObject,
        (objects, sandboxes): (&ObjectTable, &SandboxTable),
        touched: &BTreeSet<RoutingKey>,
    ) -> Option<ObjectRefusal> {
        let grown = |after: usize, before: usize, max: usize| after > before && after > max;
        if grown(self.objects.weight(), objects.weight(), limit::OBJECTS_BYTES_MAX) {
            return Some(full(ObjectBound::Bytes, limit::OBJECTS_BYTES_MAX));
        }
        let max = limit::OBJECT_RULES_BYTES_MAX;
        if grown(self.sandboxes.made_weight(), sandboxes.made_weight(), max) {
            return Some(full(ObjectBound::RuleBytes, max));
        }
        let max = limit::SANDBOXES_BYTES_MAX;
        let set = |table: &SandboxTable| table.weight() + table.copies_weight();
        if grown(set(&self.sandboxes), set(sandboxes), max) {
            return Some(full(ObjectBound::RuleBytes, max));
        }
        let max = limit::OBJECT_RULES_PER_KEY_MAX;
        let rules = |table: &SandboxTable, key: &RoutingKey| {
            table.made(key.as_str()).map_or(0, |made| made.sandbox.rules.len())
        };
        if touched.iter().any(|key| grown(rules(&self.sandboxes, key), rules(sandboxes, key), max)) {
            return Some(full(ObjectBound::RulesPerKey, max));
        }
        let (max, namespace) = (limit::LOCAL_WORKLOADS_PER_SANDBOX_MAX, &stored.id().namespace);
        let locals = |table: &ObjectTable, sandbox| table.locals_of(namespace, sandbox);
        let sandbox = stored.object.spec().as_local().map(|spec| &spec.sandbox);
        if sandbox.is_some_and(|sandbox| grown(locals(&self.objects, sandbox), locals(objects, sandbox), max))
        {
            return Some(full(ObjectBound::LocalWorkloadsPerSandbox, max));
        }
        let max = limit::OBJECT_KEYS_PER_SANDBOX_MAX;
        let mut routes = stored.object.spec().as_group().into_iter().flat_map(|group| group.leading());
        let keys = |table: &ObjectTable, target| table.keys_to(namespace, target);
        let is_sought = |target| grown(keys(&self.objects, target), keys(objects, target), max);
        routes.any(|route| is_sought(&route.target)).then(|| full(ObjectBound::KeysPerSandbox, max))
    }

    fn drop_object(&mut self, id: &ObjectId) {
        let Some(old) = self.objects.remove(id) else { return };
        let touched = self.objects.touched_by(&old);
        self.make_rules(&touched);
    }

    fn make_rules(&mut self, keys: &BTreeSet<RoutingKey>) {
        for key in keys {
            self.sandboxes.make(key, self.objects.rules_of(key));
        }
    }

    /// Takes in objects that were within the bounds where they come from, with all rules that follow from them.
    pub(crate) fn take_objects(&mut self, objects: &[Arc<StoredObject>]) {
        objects.iter().for_each(|stored| drop(self.objects.insert(stored.clone())));
        let keys = self.objects.keys().cloned().collect();
        self.make_rules(&keys);
    }
}
