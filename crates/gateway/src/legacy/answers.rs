//! What a client is told, in the order of its frames.

use super::words::Answer;
use crate::{backplane::Message, lanes::Decided};
use std::{collections::VecDeque, sync::Arc};

/// Frames that are not answered. When full: nothing more is read from their client.
const UNANSWERED_MAX: usize = 256;
/// The same in bytes of the messages in them.
const UNANSWERED_BYTES_MAX: usize = 2 << 20;

/// Answers that wait for those before them.
#[derive(Debug, Default)]
pub(super) struct Answers {
    waiting: VecDeque<Slot>,
    bytes: usize,
}

#[derive(Debug)]
enum Slot {
    Undecided(Arc<Message>),
    /// `None`: success is silence.
    Decided(Option<Answer>),
}

impl Answers {
    pub fn has_room(&self) -> bool {
        self.waiting.len() < UNANSWERED_MAX && self.bytes < UNANSWERED_BYTES_MAX
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// An answer that is known, after those that are not.
    pub fn wait(&mut self, answer: Answer) {
        self.waiting.push_back(Slot::Decided(Some(answer)));
    }

    /// A message was sent.
    pub fn expect(&mut self, message: &Arc<Message>) {
        self.bytes += message.content.len();
        self.waiting.push_back(Slot::Undecided(message.clone()));
    }

    /// It is known what became of it.
    pub fn decide(&mut self, Decided { message, outcome }: &Decided) {
        let is_it = |slot: &&mut Slot| matches!(slot, Slot::Undecided(sent) if Arc::ptr_eq(sent, message));
        if let Some(slot) = self.waiting.iter_mut().find(is_it) {
            self.bytes -= message.content.len();
            *slot = Slot::Decided((!outcome.is_sent()).then_some(Answer::FailedToSend));
        }
    }

    /// The next one that waits for nothing any more.
    pub fn next(&mut self) -> Option<Answer> {
        while let Some(Slot::Decided(_)) = self.waiting.front() {
            if let Some(Slot::Decided(Some(answer))) = self.waiting.pop_front() {
                return Some(answer);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{delivery::Outcome, fakes::to};

    #[test]
    fn answers_keep_the_order_of_the_frames() {
        let mut answers = Answers::default();
        let (first, second) = (to("bob", "1"), to("carol", "2"));
        answers.expect(&first);
        answers.wait(Answer::Pong);
        answers.expect(&second);
        answers.wait(Answer::UnknownType);
        answers.decide(&Decided { message: second, outcome: Outcome::Nobody });
        assert_eq!(answers.next(), None, "the first is not decided");
        answers.decide(&Decided { message: first, outcome: Outcome::Delivered });
        let told: Vec<_> = std::iter::from_fn(|| answers.next()).collect();
        assert_eq!(told, [Answer::Pong, Answer::FailedToSend, Answer::UnknownType]);
        assert!(answers.is_empty());
    }

    #[test]
    fn a_client_with_much_unanswered_is_not_read_from() {
        let mut answers = Answers::default();
        let large = to("bob", &"x".repeat(UNANSWERED_BYTES_MAX));
        answers.expect(&large);
        assert!(!answers.has_room());
        answers.decide(&Decided { message: large, outcome: Outcome::Delivered });
        assert!(answers.has_room());
        (0..UNANSWERED_MAX).for_each(|_| answers.wait(Answer::Pong));
        assert!(!answers.has_room());
    }
}
