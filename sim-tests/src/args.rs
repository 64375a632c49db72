//! The command line.

use crate::{planted::Planted, scenario::Scenario};

/// Shown on bad usage.
pub const USAGE: &str = "usage: cargo xtask sim [--seeds N] [--start S] [--scenario NAME] [--check-determinism] [--trace]\n\
     --seeds N             how many seeds (default 20)\n\
     --start S             the first seed (default 1)\n\
     --scenario NAME       only this one (default: all in turn, by seed)\n\
     --check-determinism   run each seed twice and compare their traces\n\
     --planted NAME        run with a known bug and fail unless a seed notices it: lying-fsync, stale-reads, ack-before-fsync,
                           vote-not-saved, followers-expire, suspects-start-over, no-epoch-check, no-dedupe,
                           reads-without-quorum, no-failover, retry-posts, cut-passes-for-whole,
                           forgets-who-was-tried, kept-is-repeated, route-stays, trailers-lost,
                           unconfirmed-verdict, known-verdicts-written, cut-off-holds-on, nothing-is-replayed,
                           untaken-is-acked, said-again-is-new
     --mutants             for each known bug (or the one of --planted): fail unless one of 500 seeds notices it\n\
     --trace               print each event of the run";

/// What to run.
#[derive(Clone, Debug)]
pub struct Args {
    /// How many seeds.
    pub seeds: u64,
    /// The first.
    pub start: u64,
    /// Only this scenario.
    pub scenario: Option<Scenario>,
    /// Whether each seed runs twice.
    pub check_determinism: bool,
    /// Whether events are printed.
    pub trace: bool,
    /// A bug to be noticed.
    pub planted: Planted,
    /// Whether every bug is planted in turn.
    pub mutants: bool,
}

impl Args {
    /// Parses.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self {
            seeds: 20,
            start: 1,
            scenario: None,
            check_determinism: false,
            trace: false,
            planted: Planted::Nothing,
            mutants: false,
        };
        while let Some(word) = words.next() {
            let mut number = || -> Result<u64, String> {
                let text = words.next().ok_or(format!("{word} needs a number"))?;
                text.parse().map_err(|e| format!("{word} {text}: {e}"))
            };
            match word.as_str() {
                "--seeds" => args.seeds = number()?,
                "--start" => args.start = number()?,
                "--check-determinism" => args.check_determinism = true,
                "--mutants" => args.mutants = true,
                "--trace" => args.trace = true,
                "--scenario" => {
                    let name = words.next().ok_or("--scenario needs a name")?;
                    let all = || Scenario::ALL.map(Scenario::name).join(", ");
                    args.scenario = Some(
                        Scenario::named(&name)
                            .ok_or_else(|| format!("no scenario {name}; there are: {}", all()))?,
                    );
                }
                "--planted" => {
                    let name = words.next().ok_or("--planted needs a name")?;
                    args.planted = Planted::named(&name).ok_or_else(|| format!("no planted bug {name}"))?;
                }
                other => return Err(format!("unknown argument {other}")),
            }
        }
        Ok(args)
    }
}
