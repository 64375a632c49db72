//! `docs/configuration.md`, made from the table of settings.

use super::setting::{SETTINGS, Setting};
use std::fmt::Write as _;

const HEAD: &str = "# Configuration of `quorate serve`

Made from the table in `crates/node/src/config/setting.rs`; a test keeps it up to date.

A setting may be given as a flag, in the environment, or as a key of the YAML file that `--config FILE` (or
`QUORATE_CONFIG`) names. A flag wins over the environment, the environment over the file, the file over the
default. An empty environment variable counts as not set. Unknown flags and unknown keys are errors, and a variable
that begins with `QUORATE_` and is no setting is named in a warning; all mistakes
are reported at once, and the exit code is 2.

Durations are numbers with units, such as `500ms`, `30s`, `1m30s`, `2h`. Addresses to listen on are `IP:PORT`,
`localhost:PORT`, or `:PORT` for all addresses.

| flag | environment | key | default | meaning |
|---|---|---|---|---|
";

const TAIL: &str = "
## In a file

Lists may be YAML lists, and `peers` may be a mapping. `routing` may be an address or a section:

```yaml
node_name: n1
data_dir: /var/lib/quorate
routing:
  listen: 0.0.0.0:8080
peers:
  n1: 10.0.0.1:7070
  n2: 10.0.0.2:7070
  n3: 10.0.0.3:7070
cluster_secret_file: /etc/quorate/secret
kafka_brokers: [10.0.1.1:9092, 10.0.1.2:9092]
```

The sandbox proxy's file is taken as it stands, and its keys may stand beside these: `server.httpPort`,
`server.grpcPort`, `server.metricsPort`, `routing.routeKeyHeader`, `routing.defaultTarget` and `routing.rules`
([what they mean](sandbox-proxy.md)). An unknown key is told with its line, its column, and the known key that is
nearest to it. Of a file that changes while the node runs, `routing.rules` and the default target take effect at once,
everything else at the next start.

## Names of the systems that Quorate replaces

| name | sets | note |
|---|---|---|
| `HOST` | the host of `--routing` and of `--management` | an IP address or `localhost` |
| `PROXY_PORT`, else `PORT` | the port of `--routing` | |
| `MANAGEMENT_PORT` | the port of `--management` | |
| `WORKER_HEARTBEAT_TIMEOUT` | `--worker-ttl` | `30` means `30s` |
| `REQUEST_TIMEOUT` | `--request-timeout` | `30` means `30s` |
| `KAFKA_BROKERS`, `KAFKA_TOPIC` | `--kafka-brokers`, `--kafka-topic` | |
| `ROUTER_TLS_CERT`, `ROUTER_TLS_KEY` | `--tls-cert`, `--tls-key` | |
| `PROXY_MODE` | `--proxy-mode` | |

They count as the environment does, after `QUORATE_<NAME>`.

## Rules about more than one setting

- `--peers` includes the node itself, under its `--node-name`.
- Without `--cluster-secret-file`, every address in `--peers` and the `--peer` listener is on loopback
  (`localhost`, `127.0.0.0/8`, `::1`): whoever reaches a peer listener could otherwise rewrite the cluster.
- All nodes have the same `--cluster-secret-file`, or none has one: a node with a secret and one without, or with
  another, refuse each other and say so in their logs. The secret keeps out strangers who can reach the peer port;
  it does not encrypt, so peers speak over a network that only they are on. White space around the secret does
  not count. A changed file counts from the next start: to change the secret, stop all nodes, then start them.
- `--election-timeout` is at least three times `--heartbeat-interval`.
- With `--kafka-brokers`, the partition count of the default keyspace comes from the topic and `--partitions` is
  not used. A count that was read once stays until Kafka tells another one.
- `--routing`, `--grpc`, `--https`, `--management` and `--peer` have a port each.
- With `--proxy-mode sidecar` there is a `--default-target`, and `HOST` moves `--routing` only.
- `--default-target` is none of the node's own listeners.
- `--tls-cert` and `--tls-key` come together, and `--https` with an address needs both. `--gateway-tls-cert` and
  `--gateway-tls-key` come together, too.
";

/// The page, as it must stand in the repository.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for setting in SETTINGS {
        writeln!(page, "{}", row(setting)).expect("a String takes everything");
    }
    page.push_str(TAIL);
    page
}

fn row(setting: &Setting) -> String {
    let mut env = format!("`{}`", setting.env());
    for legacy in setting.legacy {
        env.push_str(&format!(", `{legacy}`"));
    }
    let default = match setting.default {
        super::DefaultValue::Text(text) => format!("`{text}`"),
        super::DefaultValue::Nothing => "none".into(),
        super::DefaultValue::Computed(words) => words.into(),
    };
    let value = setting.value.replace('|', "\\|");
    format!(
        "| `{} {value}` | {env} | `{}` | {default} | {} |",
        setting.flag(),
        setting.key(),
        setting.meaning
    )
}

#[cfg(test)]
mod tests {
    /// `UPDATE_EXPECT=1 cargo test -p quorate-node` writes the page anew.
    #[test]
    fn the_page_in_docs_is_up_to_date() {
        expect_test::expect_file!["../../../../docs/configuration.md"].assert_eq(&super::reference());
    }
}
