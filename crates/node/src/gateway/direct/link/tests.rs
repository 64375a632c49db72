use super::{many::SLOW_AFTER, *};
use futures_util::stream::BoxStream;
use quorate_codec::peer::{Answered, decode_sent, encode_answered};
use quorate_gateway::backplane::Recipient;
use quorate_model::UserId;
use std::io;
use tokio::sync::mpsc;

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("valid")
}

fn message(content: &str) -> Message {
    let (from, to) = (user("alice"), Recipient::User(user("bob")));
    Message { from, to, content: content.into(), id: None, nth: 0 }
}

/// A link whose other side is the test.
struct Pair {
    link: Arc<Link>,
    chunks: BoxStream<'static, Bytes>,
}

impl Pair {
    fn dialling() -> Self {
        let link = Arc::new(Link::new(NodeName::parse("n2").expect("valid")));
        let chunks = link.clone().chunks().boxed();
        Self { link, chunks }
    }

    fn send(&self, content: &str) -> BoxFuture<'static, Result<Taken>> {
        self.link.send(Some(9), &message(content))
    }

    /// The messages of the next piece, by number and content.
    fn piece(&mut self) -> Option<Vec<(u64, String)>> {
        let mut bytes = &*self.chunks.next().now_or_never()??;
        let mut messages = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
            let (frame, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
            let sent = decode_sent(frame).expect("our own");
            messages.push((sent.number, sent.content.to_string()));
            bytes = rest;
        }
        Some(messages)
    }
}

fn open() -> Pair {
    let pair = Pair::dialling();
    let waits = pair.send("first");
    assert!(pair.link.lock().begin_dial());
    pair.link.lock().open();
    let mut pair = pair;
    assert_eq!(pair.piece(), Some(vec![(0, "first".into())]));
    pair.link.answered(0, Answer::Delivered);
    assert_eq!(waits.now_or_never(), Some(Ok(Taken::Delivered)));
    pair
}

#[tokio::test]
async fn nothing_is_sent_before_the_stream_is_open_and_then_all_that_waits_in_one_piece() {
    let mut pair = Pair::dialling();
    let waits: Vec<_> = ["1", "2", "3"].into_iter().map(|content| pair.send(content)).collect();
    assert!(pair.link.lock().begin_dial());
    assert_eq!(pair.piece(), None);
    pair.link.lock().open();
    let all = [(0, "1".into()), (1, "2".into()), (2, "3".into())];
    assert_eq!(pair.piece(), Some(all.to_vec()));
    assert_eq!(pair.piece(), None, "nothing more waits");
    // In any order.
    for (number, answer) in [(2, Answer::Full), (0, Answer::Delivered), (1, Answer::NotHere { index: 5 })] {
        pair.link.answered(number, answer);
    }
    let mut answers = Vec::new();
    for waits in waits {
        answers.push(waits.await);
    }
    let expected = [Taken::Delivered, Taken::NotHere { index: 5 }, Taken::Full].map(Ok);
    assert_eq!(answers, expected);
}

/// It would come behind what its sender said since, on another way.
#[tokio::test]
async fn what_was_given_up_before_it_was_sent_is_not_sent() {
    let mut pair = Pair::dialling();
    drop(pair.send("1"));
    drop(pair.link.send_to_many(&message("2")));
    for waiting in &mut pair.link.lock().waiting {
        waiting.since = Instant::now() - ANSWERED_WITHIN;
    }
    // Whoever says something and leaves has said it.
    drop(pair.send("3"));
    assert!(pair.link.lock().begin_dial());
    pair.link.lock().open();
    assert_eq!(pair.piece(), Some(vec![(1, "2".into()), (2, "3".into())]));
    pair.link.answered(1, Answer::Delivered);
    pair.link.answered(2, Answer::Delivered);
    let stand = pair.link.lock();
    assert!(stand.is_empty() && stand.bytes == 0, "nobody waits for it");
}

#[tokio::test]
async fn an_idle_stream_is_woken_by_a_message() {
    let mut pair = open();
    assert_eq!(pair.piece(), None);
    let mut chunks = std::mem::replace(&mut pair.chunks, stream::empty().boxed());
    let carried = quorate_rt::spawn(async move { chunks.next().await });
    tokio::task::yield_now().await;
    let _waits = pair.send("2");
    let piece = time::timeout(Duration::from_secs(20), carried).await.expect("it is woken");
    assert!(piece.expect("it does not panic").is_some());
}

#[tokio::test]
async fn of_a_broken_stream_what_had_left_is_unknown_and_the_rest_was_not_sent() {
    let mut pair = open();
    let left = pair.send("left");
    assert!(pair.piece().is_some());
    let kept = pair.send("kept");
    pair.link.end("it broke", Duration::ZERO);
    let to: Arc<str> = "n2".into();
    assert_eq!(left.await, Err(BackplaneError::Unreachable(to.clone(), "it broke".into())));
    assert_eq!(kept.await, Err(BackplaneError::NotSent(to, "it broke".into())));
    assert_eq!(pair.chunks.next().now_or_never(), Some(None), "the old stream is over");
}

#[tokio::test]
async fn a_node_that_can_not_be_reached_is_not_dialled_for_each_message() {
    let pair = Pair::dialling();
    let first = pair.send("1");
    assert!(pair.link.lock().begin_dial());
    let rest = pair.link.lock().rest.next(RESTS);
    assert!(rest >= RESTS.shortest / 2 && rest <= RESTS.shortest, "{rest:?}");
    pair.link.end("refused", Duration::from_secs(3_600));
    assert!(matches!(first.await, Err(BackplaneError::NotSent(..))));
    assert!(matches!(pair.send("2").now_or_never(), Some(Err(BackplaneError::NotSent(..)))), "at once");
    assert!(!pair.link.lock().begin_dial());
}

#[tokio::test]
async fn what_is_under_way_is_bounded() {
    let pair = open();
    let _waits: Vec<_> = (0..MESSAGES_MAX).map(|_| pair.send("x")).collect();
    assert_eq!(pair.send("x").await, Err(BackplaneError::Busy("n2".into())));
    let pair = open();
    let large = "x".repeat(BYTES_MAX);
    let _waits = pair.send(&large);
    assert_eq!(pair.send("x").await, Err(BackplaneError::Busy("n2".into())), "in bytes");
}

#[tokio::test]
async fn a_piece_is_bounded_and_a_large_message_goes_alone() {
    let mut pair = open();
    let half = "x".repeat(CHUNK_BYTES / 2);
    let large = "y".repeat(CHUNK_BYTES * 2);
    let _waits: Vec<_> = [&half, &half, &large, "z"].into_iter().map(|content| pair.send(content)).collect();
    let lengths = |piece: Option<Vec<(u64, String)>>| -> Vec<usize> {
        piece.unwrap_or_default().iter().map(|(_, content)| content.len()).collect()
    };
    let mut pieces = Vec::new();
    loop {
        let piece = lengths(pair.piece());
        if piece.is_empty() {
            break;
        }
        pieces.push(piece);
    }
    assert_eq!(pieces.concat(), [half.len(), half.len(), large.len(), 1], "in their order");
    assert!(pieces.contains(&vec![large.len()]), "{pieces:?}");
}

#[tokio::test]
async fn answers_are_heard_until_the_stream_ends_and_an_end_is_waited_for() {
    let pair = open();
    let (frames, heard) = mpsc::channel::<io::Result<Bytes>>(1);
    let stream = stream::unfold(heard, |mut heard| async move { Some((heard.recv().await?, heard)) });
    let waits = pair.send("2");
    let link = pair.link.clone();
    let _carried = pair.chunks.collect::<Vec<_>>().now_or_never();
    let empty = link.until_empty();
    let answered = Answered { number: 1, answer: Answer::Delivered };
    frames.try_send(Ok(encode_answered(answered).into())).expect("it is heard");
    drop(frames);
    let (why, ()) = tokio::join!(link.hear(stream.boxed()), empty);
    assert_eq!((why.as_str(), waits.await), ("it has ended the stream", Ok(Taken::Delivered)));
}

#[tokio::test]
async fn a_closed_link_sends_nothing() {
    let mut pair = open();
    pair.link.close();
    assert_eq!(pair.chunks.next().now_or_never(), Some(None));
    assert!(matches!(pair.send("2").now_or_never(), Some(Err(BackplaneError::NotSent(..)))));
}

/// A room would wait for the one that stands still with each message.
#[tokio::test]
async fn what_is_for_many_is_sent_and_not_waited_for_once_the_other_side_stands_still() {
    let mut pair = open();
    let first = pair.link.send_to_many(&message("1"));
    assert!(pair.piece().is_some());
    pair.link.answered(1, Answer::Delivered);
    assert_eq!(first.await, Ok(Taken::Delivered), "whoever answers is waited for");
    let slow = pair.link.send_to_many(&message("2"));
    time::sleep(SLOW_AFTER + Duration::from_millis(50)).await;
    let next = pair.link.send_to_many(&message("3"));
    assert!(matches!(next.now_or_never(), Some(Err(BackplaneError::Unreachable(..)))), "at once");
    let contents: Vec<_> = pair.piece().into_iter().flatten().map(|(_, content)| content).collect();
    assert_eq!(contents, ["2", "3"], "both are sent");
    assert!(matches!(slow.await, Err(BackplaneError::Unreachable(..))), "in the end");
    for number in [2, 3] {
        pair.link.answered(number, Answer::Delivered);
    }
    let again = pair.link.send_to_many(&message("4"));
    assert!(pair.piece().is_some());
    pair.link.answered(4, Answer::Delivered);
    assert_eq!(again.await, Ok(Taken::Delivered), "it has caught up");
}
