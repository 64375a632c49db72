//! The command line about ramps.

use clap::Args;
use quorate_client::operator::RampOrder;

/// What becomes of a ramp; without a word it is only shown.
#[derive(Args, Clone, Copy, Debug)]
#[group(multiple = false)]
pub struct RampWord {
    /// Let it stay where it is; its clock stands still
    #[arg(long)]
    pause: bool,
    /// Let it go on with the rest of its step's time
    #[arg(long)]
    resume: bool,
    /// Give the destinations their own weights again, for good
    #[arg(long)]
    abort: bool,
}

impl RampWord {
    /// The word, if there is one.
    pub fn order(self) -> Option<RampOrder> {
        let Self { pause, resume, abort } = self;
        let words = [(pause, RampOrder::Pause), (resume, RampOrder::Resume), (abort, RampOrder::Abort)];
        words.into_iter().find(|(is_said, _)| *is_said).map(|(_, order)| order)
    }
}
