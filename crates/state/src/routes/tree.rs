//! The index: a tree by path segment.
//!
//! At each node are the routes whose path ends there, and those that are for everything below; each by the host that
//! they are for. A request's path is walked down once. On the way the lists are gathered that may have a route for it,
//! each of them in order; [`Candidates`] merges them. So the cost grows with the depth of the path, not with the number
//! of routes, and a priority, which may turn the order of the lists around, needs no rule of its own.
//!
//! Everything is persistent: a change copies the nodes above it, each of which shares its tables with the old one.

use super::{
    list::{Head, List},
    literal,
    many::HeaderValues,
    path,
    rank::Entry,
};
use crate::text::{Left, Table};
use quorate_model::{
    StoredRoute,
    route::{HostMatch, PathMatch},
};
use std::{borrow::Cow, fmt, sync::Arc};

/// All routes by path and host.
#[derive(Clone, Default)]
pub(super) struct Index {
    root: Arc<Node>,
}

/// A path of whole segments.
#[derive(Clone, Default)]
struct Node {
    children: Table<Child>,
    /// For this path and all below it.
    below: Hosts,
    /// For this path.
    here: Hosts,
}

/// What is below a node. Most paths end with one route for every host: that is kept where the table has it, so that
/// whoever looks for it need not go on to a node.
#[derive(Clone)]
enum Child {
    Node(Arc<Node>),
    /// A node with nothing but one route for its path.
    Here(Entry),
    /// A node with nothing but one route for its path and all below it.
    Below(Entry),
}

/// Routes by host.
#[derive(Clone, Default)]
struct Hosts {
    any: List,
    named: Option<Arc<Named>>,
}

#[derive(Clone, Default)]
struct Named {
    exact: Table<List>,
    /// By what follows `*.`.
    below: Table<List>,
}

/// Where in the tree a route is.
struct Place<'r> {
    /// Without the slash that it begins with; `None`: the root.
    segments: Option<Cow<'r, str>>,
    at: At,
    host: Option<&'r HostMatch>,
}

#[derive(Clone, Copy)]
enum At {
    Here,
    Below,
}

impl<'r> Place<'r> {
    fn of(stored: &'r StoredRoute) -> Self {
        let matches = &stored.route.matches;
        let (segments, at) = match &matches.path {
            PathMatch::Any => (None, At::Below),
            PathMatch::Exact(path) => (Some(without_slash(path::canonical(path))), At::Here),
            PathMatch::Prefix(prefix) if prefix.is_empty() => (None, At::Below),
            PathMatch::Prefix(prefix) => (Some(without_slash(path::canonical(prefix))), At::Below),
            PathMatch::Grpc { service, method: None } => (Some(Cow::Borrowed(&**service)), At::Below),
            PathMatch::Grpc { service, method: Some(method) } => {
                (Some(Cow::Owned(format!("{service}/{method}"))), At::Here)
            }
            PathMatch::Regex(pattern) => {
                // At the last slash that every match has: what follows it may be the beginning of a segment only.
                let whole = literal::beginning(pattern.as_str()).rsplit_once('/').map(|(whole, _)| whole);
                (whole.and_then(|whole| whole.strip_prefix('/')).map(Cow::Borrowed), At::Below)
            }
        };
        Self { segments, at, host: matches.host.as_ref() }
    }
}

fn without_slash(path: Cow<'_, str>) -> Cow<'_, str> {
    match path {
        Cow::Borrowed(path) => Cow::Borrowed(path.strip_prefix('/').unwrap_or(path)),
        Cow::Owned(path) => Cow::Owned(path.strip_prefix('/').unwrap_or(&path).to_owned()),
    }
}

impl Index {
    pub fn insert(&mut self, stored: &Arc<StoredRoute>) {
        self.change(stored, &mut |list| {
            list.insert(Entry::new(stored));
            Left::Something
        });
    }

    pub fn remove(&mut self, stored: &Arc<StoredRoute>) {
        self.change(stored, &mut |list| list.remove(&Entry::new(stored)));
    }

    fn change(&mut self, stored: &StoredRoute, change: &mut dyn FnMut(&mut List) -> Left) {
        let place = Place::of(stored);
        change_node(&mut self.root, place.segments.as_deref(), &mut |node| {
            let hosts = match place.at {
                At::Here => &mut node.here,
                At::Below => &mut node.below,
            };
            hosts.change(place.host, change);
        });
    }

    /// The routes that a request with this path and host may be for, in the order in which they are asked. Both in the
    /// form that is compared: [`path::canonical`]; in lower case, without a port. Where its headers are said, without some
    /// that ask for others.
    pub fn find<'t>(
        &'t self,
        (path, host): (&str, &str),
        values: Option<&HeaderValues<'_>>,
    ) -> Candidates<'t> {
        let mut found = Candidates::default();
        let mut node = &*self.root;
        let Some(mut rest) = path.strip_prefix('/') else { return found };
        node.below.gather((host, values), &mut found);
        while !node.children.is_empty() {
            let (segment, after) = match rest.bytes().position(|byte| byte == b'/') {
                Some(end) => (&rest[..end], Some(&rest[end + 1..])),
                None => (rest, None),
            };
            match node.children.get(segment) {
                None => break,
                Some(Child::Node(child)) => node = child,
                Some(Child::Below(entry)) => {
                    found.push_head(Head::of(entry));
                    break;
                }
                Some(Child::Here(entry)) => {
                    if after.is_none() {
                        found.push_head(Head::of(entry));
                    }
                    break;
                }
            }
            node.below.gather((host, values), &mut found);
            match after {
                Some(after) => rest = after,
                None => {
                    node.here.gather((host, values), &mut found);
                    break;
                }
            }
        }
        found
    }

    /// Every list with the place where it is, sorted: two indexes of the same routes have the same.
    pub fn lists(&self) -> Vec<String> {
        let mut lists = Vec::new();
        self.root.lists("", &mut lists);
        lists
    }
}

/// Changes the node at `segments`, making the ones above it and taking those away that are left with nothing.
fn change_node(node: &mut Arc<Node>, segments: Option<&str>, change: &mut dyn FnMut(&mut Node)) -> Left {
    let node = Arc::make_mut(node);
    match segments {
        None => change(node),
        Some(segments) => {
            let (segment, rest) = segments.split_once('/').map_or((segments, None), |(a, b)| (a, Some(b)));
            let empty = || Child::Node(Arc::default());
            node.children
                .change(segment, empty, |child| child.change(|node| change_node(node, rest, change)));
        }
    }
    node.left()
}

impl Child {
    fn change(&mut self, change: impl FnOnce(&mut Arc<Node>) -> Left) -> Left {
        let mut node = match self {
            Self::Node(node) => std::mem::take(node),
            Self::Here(_) | Self::Below(_) => self.node(),
        };
        let left = change(&mut node);
        *self = Self::of(node);
        left
    }

    fn of(node: Arc<Node>) -> Self {
        let Node { children, here, below } = &*node;
        if children.is_empty() && here.named.is_none() && below.named.is_none() {
            match (here.any.only(), below.any.only()) {
                (Some(one), None) if below.is_empty() => return Self::Here(one.clone()),
                (None, Some(one)) if here.is_empty() => return Self::Below(one.clone()),
                _ => {}
            }
        }
        Self::Node(node)
    }

    /// All that it stands for.
    fn node(&self) -> Arc<Node> {
        let one = |entry: &Entry| Hosts { any: List::One(entry.clone()), named: None };
        match self {
            Self::Node(node) => node.clone(),
            Self::Here(entry) => Arc::new(Node { here: one(entry), ..Node::default() }),
            Self::Below(entry) => Arc::new(Node { below: one(entry), ..Node::default() }),
        }
    }
}

impl Node {
    fn left(&self) -> Left {
        let is_empty = self.children.is_empty() && self.here.is_empty() && self.below.is_empty();
        if is_empty { Left::Nothing } else { Left::Something }
    }

    fn lists(&self, path: &str, lists: &mut Vec<String>) {
        self.here.lists(path, lists);
        self.below.lists(&format!("{path}/*"), lists);
        for (segment, child) in self.children.sorted() {
            child.node().lists(&format!("{path}/{segment}"), lists);
        }
    }
}

impl Hosts {
    fn change(&mut self, host: Option<&HostMatch>, change: &mut dyn FnMut(&mut List) -> Left) {
        let Some(host) = host else {
            change(&mut self.any);
            return;
        };
        let named = Arc::make_mut(self.named.get_or_insert_default());
        let (table, host) = match host {
            HostMatch::Exact(host) => (&mut named.exact, host),
            HostMatch::Below(host) => (&mut named.below, host),
        };
        table.change(host, List::default, change);
        if named.exact.is_empty() && named.below.is_empty() {
            self.named = None;
        }
    }

    fn is_empty(&self) -> bool {
        self.named.is_none() && self.any.left() == Left::Nothing
    }

    fn gather<'t>(&'t self, (host, values): (&str, Option<&HeaderValues<'_>>), found: &mut Candidates<'t>) {
        let mut push = |list: &'t List| list.gather(values, &mut |head| found.push_head(head));
        push(&self.any);
        let Some(named) = &self.named else { return };
        named.exact.get(host).into_iter().for_each(&mut push);
        if named.below.is_empty() {
            return;
        }
        // An IP address has dots and is below nothing, but nobody can have a route for `*.0.0.1` either and mean it.
        let mut rest = host;
        while let Some((label, below)) = rest.split_once('.') {
            if !label.is_empty() {
                named.below.get(below).into_iter().for_each(&mut push);
            }
            rest = below;
        }
    }

    fn lists(&self, path: &str, lists: &mut Vec<String>) {
        let mut note = |host: &str, list: &List| {
            if list.left() == Left::Something {
                lists.push(format!("{host}{path}: {list:?}"));
            }
        };
        note("", &self.any);
        let Some(named) = &self.named else { return };
        named.exact.sorted().iter().for_each(|(host, list)| note(host, list));
        named.below.sorted().iter().for_each(|(host, list)| note(&format!("*.{host}"), list));
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lists()).finish()
    }
}

/// Routes that a request may be for, by their place in the index. Whether the rest of a route's match holds is the
/// reader's to see.
#[derive(Default)]
pub struct Candidates<'t> {
    heads: [Option<Head<'t>>; HEADS],
    count: usize,
    /// Those that had no place.
    more: Vec<Head<'t>>,
}

/// As many lists are merged without an allocation.
const HEADS: usize = 6;

/// A route that a request may be for.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'t> {
    /// It.
    pub route: &'t Arc<StoredRoute>,
    /// Whether it gets the request, whatever that is: nothing but path and host is asked for, and it is no redirect,
    /// which could lead back to where the request came from. Then nothing of the route has to be read to know it.
    pub is_plain: bool,
}

impl<'t> Candidates<'t> {
    fn push_head(&mut self, head: Head<'t>) {
        match self.heads.get_mut(self.count) {
            Some(place) => {
                *place = Some(head);
                self.count += 1;
            }
            None => self.more.push(head),
        }
    }
}

impl<'t> Iterator for Candidates<'t> {
    type Item = Candidate<'t>;

    fn next(&mut self) -> Option<Candidate<'t>> {
        let heads = self.heads[..self.count].iter().flatten().chain(&self.more);
        let least = heads.enumerate().min_by(|a, b| a.1.entry.cmp(b.1.entry));
        let entry = least.map(|(_, head)| head.entry)?;
        let mut places = self.heads[..self.count].iter_mut();
        let place = places.find(|place| place.as_ref().is_some_and(|head| std::ptr::eq(head.entry, entry)));
        match place {
            Some(place) => *place = place.take().and_then(Head::next),
            None => {
                let at = self.more.iter().position(|head| std::ptr::eq(head.entry, entry))?;
                let head = self.more.swap_remove(at);
                self.more.extend(head.next());
            }
        }
        Some(Candidate { route: &entry.route, is_plain: entry.is_plain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Text;

    /// What a table has for a key is one line of a cache: more of them are more waits for memory.
    #[test]
    fn what_tables_keep_is_small() {
        assert!(size_of::<Text>() + size_of::<Child>() <= 64, "{}", size_of::<Child>());
        assert!(size_of::<Text>() + size_of::<List>() <= 64, "{}", size_of::<List>());
    }
}
