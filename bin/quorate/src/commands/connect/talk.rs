//! What is read and what is heard, while one is connected or dials again.

use super::{
    line::{self, Line},
    patience::{Going, Patience, TRIED_FOR},
    shown::{self, Shown},
};
use crate::{
    args::ConnectArgs,
    failure::Failure,
    output::{print, say},
    signals::Signals,
};
use quorate_client::socket::{Heard, Listener, Say, Talker};
use std::{collections::VecDeque, io::BufRead as _};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// Lines that were read and not taken.
const LINES_MAX: usize = 16;

/// stdin can't be waited for together with other things, so a thread reads it; the program ends without it.
fn lines() -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel(LINES_MAX);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// What the connection is to be told.
#[derive(Clone, Debug)]
enum Order {
    Say(Say),
    Leave,
}

/// A conversation.
pub struct Talk<'a> {
    args: &'a ConnectArgs,
    talker: Talker,
    listener: Listener,
    /// Whom lines without a name go to.
    to: Option<String>,
    /// What is not taken yet: a line at most, and the goodbye.
    orders: VecDeque<Order>,
    patience: Patience,
    /// Something that was said has not arrived, or may not have.
    has_failed: bool,
    has_input: bool,
    has_given_up: bool,
}

impl<'a> Talk<'a> {
    pub fn new(args: &'a ConnectArgs, talker: Talker, listener: Listener) -> Self {
        Self {
            args,
            talker,
            listener,
            to: args.to.clone(),
            orders: VecDeque::new(),
            patience: Patience::default(),
            has_failed: false,
            has_input: true,
            has_given_up: false,
        }
    }

    pub async fn run(mut self, mut signals: Signals) -> Result<(), Failure> {
        let mut lines = lines();
        loop {
            let end = self.patience.end().filter(|_| !self.has_given_up);
            let order = self.orders.front().filter(|_| !self.has_given_up).cloned();
            let is_heard = self.has_input && self.orders.is_empty() && self.patience.going() == Going::Not;
            tokio::select! {
                biased;
                heard = self.listener.next() => match heard? {
                    Some(heard) => self.hear(&heard)?,
                    None => return self.outcome(),
                },
                signal = signals.next() => {
                    let is_ending = match self.patience.going() {
                        Going::Not => false,
                        // It has been about to give up.
                        Going::Answered => !self.patience.is_lost(),
                        Going::Now => true,
                    };
                    // The second one insists.
                    if is_ending {
                        return Err(Failure::Signal(signal));
                    }
                    self.go(Going::Now);
                }
                () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => {
                    self.has_given_up = true;
                    self.talker.give_up();
                }
                () = hand_over(&self.talker, order.as_ref()), if order.is_some() => {
                    self.orders.pop_front();
                    self.patience.set_waiting(!self.orders.is_empty(), Instant::now());
                }
                line = lines.recv(), if is_heard => match line {
                    Some(line) => self.read(&line),
                    None => {
                        self.has_input = false;
                        if !self.args.listen {
                            self.go(Going::Answered);
                        }
                    }
                },
            }
        }
    }

    fn go(&mut self, going: Going) {
        if self.patience.going() == Going::Not {
            self.orders.push_back(Order::Leave);
        }
        self.patience.go(going, Instant::now());
    }

    fn read(&mut self, line: &str) {
        match line::read(line, self.to.as_deref()) {
            Ok(Line::Say(said)) => {
                self.orders.push_back(Order::Say(said));
                self.patience.set_waiting(true, Instant::now());
            }
            Ok(Line::To(to)) => self.to = Some(to),
            Ok(Line::Quit) => self.go(Going::Now),
            Ok(Line::Empty) => {}
            Err(why) => {
                self.has_failed = true;
                say(&why);
            }
        }
    }

    fn hear(&mut self, heard: &Heard) -> Result<(), Failure> {
        let now = Instant::now();
        match heard {
            Heard::Lost { .. } => self.patience.set_lost(true, now),
            Heard::Registered { .. } | Heard::Resumed { .. } | Heard::NotResumed { .. } => {
                self.patience.set_lost(false, now);
            }
            Heard::StillLost { why } => {
                if let Some(since) = self.patience.dialled_in_vain(now) {
                    say(&shown::still_lost(since, why));
                }
            }
            Heard::Refused { .. } | Heard::Unknown(_) | Heard::Unsaid(_) => self.has_failed = true,
            _ => {}
        }
        match if self.args.json { shown::json(heard) } else { shown::text(heard) } {
            Shown::Data(line) => print(&format!("{line}\n")),
            Shown::Talk(line) => {
                say(&line);
                Ok(())
            }
            Shown::Nothing => Ok(()),
        }
    }

    fn outcome(&mut self) -> Result<(), Failure> {
        for order in self.orders.drain(..) {
            if let Order::Say(said) = order {
                self.has_failed = true;
                say(&shown::unsaid(&said));
            }
        }
        if self.has_given_up && self.patience.going() != Going::Now {
            let rest = if self.has_input { "; the rest of the input is not sent either" } else { "" };
            let why = format!("no gateway has answered for {} s{rest}", TRIED_FOR.as_secs());
            return Err(Failure::NotReachable(why));
        }
        match self.has_failed {
            false => Ok(()),
            true => Err(Failure::Failed("not everything that was said has arrived".into())),
        }
    }
}

/// One that nobody takes has ended, which is heard next.
async fn hand_over(talker: &Talker, order: Option<&Order>) {
    match order {
        Some(Order::Say(said)) => drop(talker.say(said.clone()).await),
        Some(Order::Leave) => talker.leave().await,
        None => {}
    }
}
