//! HTTP/2, beside [`crate::http1`].

pub(crate) mod upstream;
