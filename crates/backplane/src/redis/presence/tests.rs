use super::*;
use futures_util::future::{pending, ready};
use quorate_model::NodeName;
use redis::AsyncCommands;
use server::RedisServer;

#[expect(clippy::disallowed_methods, reason = "a test outside of simulation: the clock is real")]
#[path = "../../../tests/support/server.rs"]
mod server;

/// Lets everybody in, and knows nobody.
struct Anybody;

impl Presence for Anybody {
    fn open(
        &self,
        _: UserId,
        _: ConnectionId,
        _: SecondLogin,
    ) -> BoxFuture<'static, Result<Box<dyn Hold>, OpenError>> {
        let hold: Box<dyn Hold> = Box::new(Anybody);
        ready(Ok(hold)).boxed()
    }

    fn find(&self, _: &UserId) -> Vec<Place> {
        Vec::new()
    }

    fn caught_up(&self, _: u64) -> BoxFuture<'static, bool> {
        ready(true).boxed()
    }

    fn index(&self) -> u64 {
        0
    }
}

impl Hold for Anybody {
    fn epoch(&self) -> Epoch {
        Epoch(1)
    }

    fn lost(&self) -> Option<Lost> {
        None
    }

    fn until_lost(&self) -> BoxFuture<'_, Lost> {
        pending().boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }
}

/// A registry of which nothing is refreshed or cleared up but what the test says.
fn registry(server: &RedisServer) -> Registry {
    let server = super::super::Server { address: server.address(), password: None };
    let others: Arc<dyn Fn() -> Vec<NodeName> + Send + Sync> = Arc::new(Vec::new);
    let fleet = Arc::new(Fleet { me: NodeName::parse("n1").expect("valid"), others });
    Registry::new(fleet, Arc::new(Anybody), Arc::new(Line::new(server)), REFRESH_EVERY)
}

/// A refresh that was under way when its user left wrote the whole entry after the end, and nobody took it out; an end
/// that was late took out one who had just come back.
#[tokio::test]
async fn what_changes_while_redis_is_told_is_told_once_more() {
    let Some(server) = RedisServer::start(None) else { return };
    let registry = registry(&server);
    let mut client = server.client().get_multiplexed_async_connection().await.expect("it listens");
    let key = (UserId::parse("bob").expect("valid"), ConnectionId::from_random(1));
    let open = || registry.open(key.0.clone(), key.1, SecondLogin::Replace);

    let hold = open().await.expect("anybody is let in");
    let mut refresh = Box::pin(registry.settle(vec![key.clone()]));
    assert!((&mut refresh).now_or_never().is_none(), "Redis has not answered");
    drop(hold);
    assert_eq!(refresh.await, Some(()));
    let fields: u64 = client.hlen("presence:bob").await.expect("it answers");
    assert_eq!(fields, 0, "whoever has left is not brought back");

    let mut end = Box::pin(registry.settle(vec![key.clone()]));
    assert!((&mut end).now_or_never().is_none(), "Redis has not answered");
    // Its own word to Redis comes before the end's.
    let _held = registry.enter(key.clone(), Box::new(Anybody));
    assert_eq!(end.await, Some(()));
    let gateway: String = client.hget("presence:bob", "gwId").await.expect("it answers");
    assert_eq!(gateway, "n1", "whoever has come back is not taken out");
}

/// Redis was away at a login: the next refresh writes it. What Redis says of an earlier login elsewhere is over; a later
/// one stands.
#[tokio::test]
async fn a_login_that_redis_has_not_heard_of_gives_way_to_a_later_one_alone() {
    let Some(server) = RedisServer::start(None) else { return };
    let registry = registry(&server);
    let mut client = server.client().get_multiplexed_async_connection().await.expect("it listens");
    let key = (UserId::parse("bob").expect("valid"), ConnectionId::from_random(1));
    let now_s = time::wall_ms() / 1_000;
    for (theirs_s, is_ours) in [(now_s - 1_000, true), (now_s + 1_000, false)] {
        let ts = theirs_s.to_string();
        let theirs = [("gwId", "gateway-02"), ("connId", "theirs"), ("ts", ts.as_str())];
        let _: () = client.hset_multiple("presence:bob", &theirs).await.expect("it answers");
        let held = registry.enter(key.clone(), Box::new(Anybody));
        assert_eq!(registry.settle(vec![key.clone()]).await, Some(()));
        assert_eq!(held.lost().is_none(), is_ours, "{theirs_s} as of {now_s}");
        let gateway: String = client.hget("presence:bob", "gwId").await.expect("it answers");
        assert_eq!(gateway == "n1", is_ours);
        // From now on Redis is believed.
        let _: () = client.hset_multiple("presence:bob", &theirs).await.expect("it answers");
        assert_eq!(registry.settle(vec![key.clone()]).await, Some(()));
        assert_eq!(held.lost(), Some(Lost::Replaced));
        drop(held);
        let _: () = client.del("presence:bob").await.expect("it answers");
    }
}
