//! All counters of a node, and their rendering.

use crate::{
    control::{Control, Shared},
    gateway::{self, GatewayCounters},
    proxy::{CoreCounters, Cores},
};
use prometheus_client::{encoding::text, registry::Registry};
use std::sync::Arc;

/// One per node, made at its start and handed down.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    cores: Arc<Cores>,
    control: Arc<Control>,
    gateway: Arc<GatewayCounters>,
}

impl Metrics {
    /// The content type of [`Metrics::render`].
    pub const CONTENT_TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// All at zero.
    pub fn new() -> Arc<Self> {
        let cores = Arc::new(Cores::default());
        let control = Arc::new(Control::default());
        let gateway = Arc::new(GatewayCounters::default());
        let mut registry = Registry::default();
        registry.register_collector(Box::new(cores.clone()));
        registry.register_collector(Box::new(Shared(control.clone())));
        registry.register_collector(Box::new(gateway::Shared(gateway.clone())));
        Arc::new(Self { registry, cores, control, gateway })
    }

    /// Counters for one more core of the data plane. Call once per core: they live as long as the node.
    pub fn add_core(&self) -> Arc<CoreCounters> {
        self.cores.add()
    }

    /// The control plane's numbers.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// The WebSocket gateway's numbers.
    pub fn gateway(&self) -> &Arc<GatewayCounters> {
        &self.gateway
    }

    /// OpenMetrics text, which Prometheus reads.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail, and the collectors return no errors of their own.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::{Outcome, PathTemplate};
    use expect_test::expect_file;
    use std::time::Duration;

    #[test]
    fn the_list_of_metrics_is_golden() {
        let listed: String = Metrics::new()
            .render()
            .lines()
            .filter(|line| line.starts_with("# ") && *line != "# EOF")
            .map(|line| format!("{line}\n"))
            .collect();
        expect_file!["../golden/metrics.txt"].assert_eq(&listed);
        for name in listed.lines().filter_map(|l| l.strip_prefix("# TYPE ")) {
            // The others are those of the sandbox proxy.
            let is_ours = name.starts_with("quorate_") || name.starts_with("proxy_");
            assert!(is_ours, "{name}");
        }
    }

    #[test]
    fn cores_are_summed() {
        let metrics = Metrics::new();
        let (a, b) = (metrics.add_core(), metrics.add_core());
        for core in [&a, &a, &b] {
            crate::events::Answered {
                outcome: Outcome::Forwarded,
                path: PathTemplate::Workspace,
                status: 200,
                elapsed: Duration::from_millis(3),
            }
            .emit(core);
        }
        a.client_connected();
        b.client_connected();
        b.client_gone();
        let text = metrics.render();
        for line in [
            "quorate_proxy_requests_total{outcome=\"forwarded\"} 3",
            "quorate_proxy_requests_total{outcome=\"no_worker\"} 0",
            "quorate_proxy_responses_total{class=\"2xx\"} 3",
            "quorate_proxy_request_duration_seconds_count 3",
            "quorate_proxy_request_duration_seconds_bucket{le=\"0.0025\"} 0",
            "quorate_proxy_request_duration_seconds_bucket{le=\"0.005\"} 3",
            "quorate_proxy_request_duration_seconds_bucket{le=\"+Inf\"} 3",
            "quorate_proxy_connections_open 1",
            "proxy_requests_total{path=\"/workspaces/{workspace}\",status_code=\"200\"} 3",
            "proxy_request_duration_seconds_count{path=\"/workspaces/{workspace}\"} 3",
            "proxy_request_duration_seconds_count{path=\"{default}\"} 0",
            "proxy_routing_errors_total{error_type=\"no_worker\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn control_gauges_show_what_was_set() {
        let metrics = Metrics::new();
        metrics.control().set_raft(crate::control::RaftPicture {
            applied_index: 57,
            term: 3,
            is_leader: true,
            members: 3,
            peers_reachable: 2,
        });
        metrics.control().set_stale_seconds(9);
        let text = metrics.render();
        for line in [
            "quorate_raft_applied_index 57",
            "quorate_raft_term 3",
            "quorate_raft_is_leader 1",
            "quorate_raft_members 3",
            "quorate_raft_peers_reachable 2",
            "quorate_view_stale_seconds 9",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
