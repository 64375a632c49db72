//! Kafka: the original's topics.
