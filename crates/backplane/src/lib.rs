//! Other ways between gateways than the cluster's own: Redis and Kafka, as the original gateways speak them.
