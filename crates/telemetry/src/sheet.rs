//! Writes metrics that live in plain atomics into prometheus-client's encoder.
//!
//! Each call is one metric: name, help, value. Closed labels are written out whole, zeros included, so that a
//! rate over a series that has not happened yet is 0 and not "no data".

use crate::{histogram::Durations, label::Label};
use prometheus_client::{
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};
use std::fmt;

pub(crate) struct Sheet<'a>(pub DescriptorEncoder<'a>);

impl Sheet<'_> {
    pub fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    pub fn counters<L: Label>(&mut self, name: &str, help: &str, value: impl Fn(L) -> u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for label in L::ALL {
            let labels = [(L::NAME, label.as_str())];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value(*label), None)?;
        }
        Ok(())
    }

    /// Series of a closed label and of one whose values are `names`, which the caller bounds.
    pub fn counters_of<'n, L: Label, V: Fn(L) -> u64>(
        &mut self,
        (name, help): (&str, &str),
        (label, values): (&str, impl Iterator<Item = (&'n str, V)>),
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (of, value) in values {
            for closed in L::ALL {
                let labels = [(label, of), (L::NAME, closed.as_str())];
                metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value(*closed), None)?;
            }
        }
        Ok(())
    }

    /// Series of two labels, whose values the caller bounds.
    pub fn counters_by<'n>(
        &mut self,
        (name, help): (&str, &str),
        series: impl Iterator<Item = ([(&'n str, &'n str); 2], u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in series {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    /// One histogram for each value of a closed label.
    pub fn durations_by<'d, L: Label, P: Iterator<Item = &'d Durations>>(
        &mut self,
        (name, help): (&str, &str),
        parts: impl Fn(L) -> P,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for label in L::ALL {
            let labels = [(L::NAME, label.as_str())];
            Durations::encode(parts(*label), metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    pub fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    pub fn gauges<L: Label>(&mut self, name: &str, help: &str, value: impl Fn(L) -> u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for label in L::ALL {
            let labels = [(L::NAME, label.as_str())];
            metric.encode_family(&labels)?.encode_gauge(&value(*label))?;
        }
        Ok(())
    }

    pub fn durations<'d>(
        &mut self,
        name: &str,
        help: &str,
        parts: impl Iterator<Item = &'d Durations>,
    ) -> fmt::Result {
        Durations::encode(parts, self.0.encode_descriptor(name, help, None, MetricType::Histogram)?)
    }
}
