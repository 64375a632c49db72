//! Who is told what becomes of a call of gRPC: its code is in the trailers of the answer.

use super::AnswerError;
use crate::{ramps::CountedCall, serve::GRPC_STATUS};
use bytes::Bytes;
use hyper::body::Frame;
use quorate_telemetry::{OpenCall, label::CallCode};
use std::task::Poll;

/// Those who are told.
#[derive(Default)]
pub(super) struct Followers {
    pub metrics: Option<OpenCall>,
    pub ramp: Option<CountedCall>,
}

impl Followers {
    /// What an answer says of its call.
    pub fn heed(&mut self, polled: &Poll<Option<Result<Frame<Bytes>, AnswerError>>>) {
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    let code = trailers.get(GRPC_STATUS).map(|code| CallCode::of(code.as_bytes()));
                    self.says(code.unwrap_or(CallCode::Unknown));
                }
            }
            Poll::Ready(None) => self.ends(),
            Poll::Ready(Some(Err(_))) => self.says(CallCode::Unavailable),
            Poll::Pending => {}
        }
    }

    fn says(&mut self, code: CallCode) {
        if let Some(call) = &mut self.metrics {
            call.says(code);
        }
        if let Some(call) = &mut self.ramp {
            call.says(code);
        }
    }

    /// It is over, as far as is known here.
    pub fn ends(&mut self) {
        if let Some(call) = &mut self.metrics {
            call.ends();
        }
        if let Some(call) = &mut self.ramp {
            call.ends();
        }
    }
}
