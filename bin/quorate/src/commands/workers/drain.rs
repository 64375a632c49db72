//! The wait of `quorate workers drain --wait`.

use crate::{failure::Failure, output::say};
use quorate_client::{Error, Operator, operator::InFlight};
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Ends once nothing is in flight at any of the workers, each drained at its index.
pub async fn finished(operator: &Operator, drained: &[(&str, u64)], limit: Duration) -> Result<(), Failure> {
    let begun = Instant::now();
    for (id, index) in drained {
        let left = limit.saturating_sub(begun.elapsed());
        idle(operator, id, *index, left).await?;
        say(&format!("nothing is in flight at worker {id} any more"));
    }
    Ok(())
}

/// A node that does not answer in between is asked again: what it has is not known, and nobody guesses.
async fn idle(operator: &Operator, id: &str, index: u64, limit: Duration) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut said = String::new();
    loop {
        let now = match operator.in_flight(id, index).await {
            Ok(told) if told.value.in_flight == Some(0) => return Ok(()),
            Ok(told) => words(id, &told.value),
            // Its record has ended since, and no node has anything left.
            Err(error) if error.is_unknown_worker() => return Ok(()),
            Err(error @ Error::Unreachable(_)) => error.to_string(),
            // Busy, or without a leader for a moment.
            Err(Error::Refused(problem)) if problem.status >= 500 => problem.to_string(),
            Err(error) => return Err(error.into()),
        };
        if now != said {
            say(&now);
            said = now;
        }
        if begun.elapsed() >= limit {
            return Err(Failure::Failed(format!("{said}; the time is over, and the worker stays drained")));
        }
        tokio::time::sleep(LOOK_EVERY.min(limit.saturating_sub(begun.elapsed()))).await;
    }
}

fn words(id: &str, told: &InFlight) -> String {
    let known: u64 = told.nodes.iter().filter_map(|node| node.in_flight).sum();
    let unknown = told.nodes.iter().filter(|node| node.in_flight.is_none());
    let unknown: Vec<_> = unknown
        .map(|node| format!("{}: {}", node.node, node.why.as_deref().unwrap_or("it does not tell")))
        .collect();
    let requests = if known == 1 { "1 request is".to_owned() } else { format!("{known} requests are") };
    match (unknown.is_empty(), known) {
        (true, _) => format!("{requests} in flight at worker {id}"),
        (false, 0) => format!("no request is known to be in flight at worker {id}; {}", unknown.join("; ")),
        (false, _) => format!("at least {requests} in flight at worker {id}; {}", unknown.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_client::operator::NodeInFlight;

    fn node(name: &str, in_flight: Option<u64>) -> NodeInFlight {
        let why = in_flight.is_none().then(|| "it does not answer".to_owned());
        NodeInFlight { node: name.into(), in_flight, why }
    }

    #[test]
    fn what_is_not_known_is_said() {
        let told = |nodes| InFlight { in_flight: None, nodes };
        assert_eq!(words("w", &told(vec![node("n1", Some(1))])), "1 request is in flight at worker w");
        assert_eq!(
            words("w", &told(vec![node("n1", Some(2)), node("n2", None)])),
            "at least 2 requests are in flight at worker w; n2: it does not answer"
        );
        assert_eq!(
            words("w", &told(vec![node("n1", Some(0)), node("n2", None)])),
            "no request is known to be in flight at worker w; n2: it does not answer"
        );
    }
}
