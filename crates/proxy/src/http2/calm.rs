//! How much work without use a client may make.
//!
//! A frame costs its sender next to nothing and us a look, an answer or a request to a worker: resets of streams just
//! opened (CVE-2023-44487), pings, settings, empty data. None of them is forbidden and a few of each are normal, so
//! they are paid from a purse that fills again with time and with each answer that a client has let us finish. A
//! client whose purse is empty is told `ENHANCE_YOUR_CALM`. (What a client makes *us* reset, and heads without end in
//! `CONTINUATION` frames, hyper counts.)

use crate::deadline::TICK;

/// What a full purse holds.
const FULL: u32 = 1_000;
/// A stream that was reset: it may have cost a request to a worker.
const RESET: u32 = 25;
/// Any other frame that does nothing for a request.
const FRAME: u32 = 1;
/// What comes back each second.
const PER_SECOND: u32 = 250;
/// What comes back each tick.
const PER_TICK: u32 = PER_SECOND / (1_000 / TICK.as_millis() as u32);

const _: () = assert!(FULL / RESET < 50, "four connections must not make 200 requests that they reset");
const _: () = assert!(FULL / FRAME < 2_000, "no flood is longer than two thousand frames");

/// What was written to a client, for which it may answer by WINDOW_UPDATE: one for its stream and one for the
/// connection for each DATA, however small, is nothing odd.
#[derive(Debug, Default)]
pub(super) struct Written(u64);

impl Written {
    /// So many bytes of frames earn one WINDOW_UPDATE; a frame has nine and more.
    const EACH: u64 = 8;

    pub fn add(&mut self, bytes: usize) {
        self.0 = self.0.saturating_add(bytes as u64);
    }

    /// What so many WINDOW_UPDATE cost.
    pub fn cost(&mut self, updates: u32) -> u32 {
        let earned = u32::try_from(self.0 / Self::EACH).unwrap_or(u32::MAX).min(updates);
        self.0 -= u64::from(earned) * Self::EACH;
        (updates - earned) * FRAME
    }
}

/// What a client may still spend.
#[derive(Debug)]
pub(super) struct Purse {
    left: u32,
    /// The tick of the last look.
    at: u32,
}

impl Purse {
    /// Full.
    pub fn new(now: u32) -> Self {
        Self { left: FULL, at: now }
    }

    /// `false`: it is empty.
    pub fn spend(&mut self, cost: u32, now: u32) -> bool {
        let back = now.saturating_sub(self.at).saturating_mul(PER_TICK);
        self.at = now;
        self.left = self.left.saturating_add(back).min(FULL);
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// An answer was finished.
    pub fn earn(&mut self) {
        self.left = (self.left + RESET).min(FULL);
    }
}

/// Finds the frames in a stream of bytes, and what they cost.
#[derive(Debug)]
pub(super) struct Frames {
    head: [u8; 9],
    have: usize,
    /// Bytes that are not looked at.
    skip: usize,
    /// How long the frame is whose padding comes next.
    padded: Option<usize>,
    /// What the bytes at hand belong to.
    within: Within,
    /// How many were WINDOW_UPDATE.
    updates: u32,
}

/// What a frame is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    /// Anything but a request's head.
    Other,
    /// A head that goes on after this frame.
    Head,
    /// The last frame of a head.
    LastOfHead,
}

impl Frames {
    /// Of a client: its preface comes first.
    pub fn after_preface() -> Self {
        let skip = crate::opening::PREFACE.len();
        Self { head: [0; 9], have: 0, skip, padded: None, within: Within::Other, updates: 0 }
    }

    /// How many of the frames since the last look were WINDOW_UPDATE: what they cost depends on what they answer.
    pub fn take_updates(&mut self) -> u32 {
        std::mem::take(&mut self.updates)
    }

    /// Whether a head has begun that has not ended.
    pub fn in_head(&self) -> bool {
        match self.within {
            Within::Other => false,
            Within::Head => true,
            Within::LastOfHead => self.skip > 0,
        }
    }

    /// What the frames cost that begin in `bytes`.
    pub fn cost(&mut self, mut bytes: &[u8]) -> u32 {
        let mut cost = 0;
        loop {
            if let (Some(length), Some((padding, rest))) = (self.padded, bytes.split_first()) {
                (self.padded, bytes) = (None, rest);
                self.skip = length - 1;
                cost += price_of_data(self.skip.saturating_sub(usize::from(*padding)));
            }
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if self.padded.is_some() || self.skip > 0 {
                return cost;
            }
            let taken = bytes.len().min(self.head.len() - self.have);
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have < self.head.len() {
                return cost;
            }
            self.have = 0;
            let [a, b, c, kind, flags, ..] = self.head;
            self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
            self.within = match kind {
                HEADERS | CONTINUATION if flags & END_HEADERS == 0 => Within::Head,
                HEADERS | CONTINUATION => Within::LastOfHead,
                _ => Within::Other,
            };
            self.updates += u32::from(kind == WINDOW_UPDATE);
            if kind == DATA && flags & (ENDS | PADDED) == PADDED && self.skip > 0 {
                self.padded = Some(std::mem::take(&mut self.skip));
            } else {
                cost += price(kind, flags, self.skip);
            }
        }
    }
}

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;
/// `END_STREAM` and `ACK` are the same bit.
const ENDS: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

/// DATA that does not end its stream, by what of it is no padding: next to nothing is no data.
fn price_of_data(length: usize) -> u32 {
    if length < 2 { FRAME } else { 0 }
}

/// RFC 9113, 6.
fn price(kind: u8, flags: u8, length: usize) -> u32 {
    match kind {
        DATA if flags & ENDS == 0 => price_of_data(length),
        // Those that end a stream; the others are paid by what is written.
        DATA | HEADERS | WINDOW_UPDATE => 0,
        // RST_STREAM.
        0x3 => RESET,
        // SETTINGS and PING: what acknowledges ours.
        0x4 | 0x6 if flags & ENDS != 0 => 0,
        // PRIORITY, PUSH_PROMISE, GOAWAY, CONTINUATION, and what there is not.
        _ => FRAME,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let size = u32::try_from(length).unwrap().to_be_bytes();
        let mut frame = vec![size[1], size[2], size[3], kind, flags, 0, 0, 0, 1];
        // Full of what could be taken for frames.
        frame.resize(9 + length, 3);
        frame
    }

    #[test]
    fn frames_are_found_however_they_come() {
        let mut bytes = crate::opening::PREFACE.to_vec();
        let parts =
            [(4, 0, 18), (1, 4, 40), (3, 0, 4), (0, 0, 300), (0, 0, 0), (0, 1, 0), (6, 1, 8), (8, 0, 4)];
        for (kind, flags, length) in parts {
            bytes.extend(frame(kind, flags, length));
        }
        // SETTINGS, RST_STREAM and the empty DATA.
        let expected = FRAME + RESET + FRAME;
        for size in [1, 2, 8, 9, 10, 33, bytes.len()] {
            let mut frames = Frames::after_preface();
            let cost: u32 = bytes.chunks(size).map(|chunk| frames.cost(chunk)).sum();
            assert_eq!(cost, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn windows_are_updated_for_what_was_written() {
        let (mut frames, mut written) = (Frames::after_preface(), Written::default());
        frames.cost(crate::opening::PREFACE);
        assert_eq!(frames.cost(&frame(WINDOW_UPDATE, 0, 4).repeat(5)), 0);
        assert_eq!((frames.take_updates(), frames.take_updates()), (5, 0));
        assert_eq!(written.cost(5), 5 * FRAME, "nothing was written");
        // DATA with seven bytes.
        written.add(9 + 7);
        assert_eq!([written.cost(1), written.cost(2)], [0, FRAME]);
        written.add(usize::MAX);
        assert_eq!(written.cost(u32::MAX), 0);
    }

    #[test]
    fn padding_is_no_data() {
        let mut bytes = crate::opening::PREFACE.to_vec();
        // As `frame` fills them, the padding is three bytes long, or claims to be.
        for length in [1, 2, 4, 5] {
            bytes.extend(frame(DATA, PADDED, length));
        }
        bytes.extend(frame(DATA, PADDED, 6));
        bytes.extend(frame(DATA, PADDED | ENDS, 4));
        bytes.extend([frame(DATA, 0, 1), frame(DATA, 0, 2), frame(DATA, PADDED, 0)].concat());
        for size in [1, 2, 9, 10, 11, bytes.len()] {
            let mut frames = Frames::after_preface();
            let cost: u32 = bytes.chunks(size).map(|chunk| frames.cost(chunk)).sum();
            assert_eq!(cost, 6 * FRAME, "in pieces of {size}");
        }
    }

    #[test]
    fn a_head_lasts_from_its_first_frame_to_the_end_of_its_last() {
        let mut frames = Frames::after_preface();
        let mut after = |bytes: &[u8]| {
            frames.cost(bytes);
            frames.in_head()
        };
        assert!(!after(crate::opening::PREFACE));
        assert!(!after(&frame(HEADERS, END_HEADERS, 5)), "a whole one");
        assert!(!after(&frame(DATA, 0, 5)[..9]), "no head");
        assert!(!after(&[0; 5]));
        assert!(after(&frame(HEADERS, ENDS, 5)));
        assert!(after(&frame(CONTINUATION, 0, 5)));
        let last = frame(CONTINUATION, END_HEADERS, 5);
        assert!(after(&last[..13]));
        assert!(!after(&last[13..]));
    }

    #[test]
    fn a_purse_is_emptied_by_resets_and_filled_by_answers_and_time() {
        let mut purse = Purse::new(7);
        let resets = (0..).take_while(|_| purse.spend(RESET, 7)).count();
        assert_eq!(resets, 40);
        purse.earn();
        assert_eq!([purse.spend(RESET, 7), purse.spend(RESET, 7)], [true, false]);
        assert_eq!([purse.spend(RESET, 8), purse.spend(RESET, 8)], [true, false], "ten a second");
        let later = (0..).take_while(|_| purse.spend(RESET, 100_000)).count();
        assert_eq!(later, 40, "never more than full");
        let mut pings = Purse::new(0);
        assert_eq!((0..).take_while(|_| pings.spend(FRAME, 0)).count(), 1_000);
    }
}
