//! Partition counts: who decides them, and what becomes of claims beyond them.

mod support;

use expect_test::expect;
use support::{Scene, check, check_unformed, picture};

#[test]
fn registering_anew_in_another_keyspace_leaves_the_first() {
    check(
        "put orders 4; register w1 0,1; register w2 1 ks=orders; register w1 1,2 ks=orders",
        expect![[r#"
        2 put orders 4
            done
            * orders has 4 partitions
        3 register w1 0,1
            registered, epoch 3
            * w1 has lease 3
        4 register w2 1 ks=orders
            registered, epoch 4
            * w2 has lease 4
        5 register w1 1,2 ks=orders
            registered, epoch 5
            * w1 takes 1 from w2
            * w2 live -> departed, epoch 4
            * w1 has lease 5
        index 5, 0s, 1 routable
          default/12:
          orders/4: 1=w1 2=w1
          w1 [1,2] live, epoch 5, changed at 5
          w2 [] displaced at 0s, epoch 4, changed at 5
    "#]],
    );
}

#[test]
fn keyspaces_do_not_contend_with_each_other() {
    check(
        "put orders 4; register w1 0,1; register w2 0,1 ks=orders",
        expect![[r#"
        2 put orders 4
            done
            * orders has 4 partitions
        3 register w1 0,1
            registered, epoch 3
            * w1 has lease 3
        4 register w2 0,1 ks=orders
            registered, epoch 4
            * w2 has lease 4
        index 4, 0s, 2 routable
          default/12: 0=w1 1=w1
          orders/4: 0=w2 1=w2
          w1 [0,1] live, epoch 3, changed at 3
          w2 [0,1] live, epoch 4, changed at 4
    "#]],
    );
}

/// Defect 4 of the original: each replica cached the partition count for five minutes on its own. The count is
/// part of the state, so that all nodes change it at one index, and routing follows within the same entry.
#[test]
fn defect_4_all_nodes_change_the_partition_count_at_one_index() {
    let script = "put default 4 kafka; register w1 0,1,2,3; register w2 4,5; observe default 6; tick";
    let counts = |at: u64| {
        let mut node = Scene::formed();
        for line in script.split(';') {
            if node.state.index().0 < at {
                node.run(line);
            }
        }
        picture::owners(node.state.default_keyspace().expect("formed"))
    };
    for _node in 0..3 {
        assert_eq!(counts(4), "default/4: 0=w1 1=w1 2=w1 3=w1");
        assert_eq!(counts(5), "default/6: 0=w1 1=w1 2=w1 3=w1 4=w2 5=w2");
        assert_eq!(counts(6), counts(5));
    }
}

#[test]
fn partitions_out_of_range_are_kept_and_route_when_the_count_grows() {
    check(
        "register w1 11,12,-1,2147483647; look; put default 14",
        expect![[r#"
        2 register w1 11,12,-1,2147483647
            registered, epoch 2
            * w1 has lease 2
        index 2, 0s, 1 routable
          default/12: 11=w1
          w1 [-1,11,12,2147483647] live, epoch 2, changed at 2
        3 put default 14
            done
            * default has 14 partitions
        index 3, 0s, 1 routable
          default/14: 11=w1 12=w1
          w1 [-1,11,12,2147483647] live, epoch 2, changed at 2
    "#]],
    );
}

#[test]
fn partitions_out_of_range_are_contested_all_the_same() {
    check(
        "register w1 11,12; register w2 12; put default 14",
        expect![[r#"
            2 register w1 11,12
                registered, epoch 2
                * w1 has lease 2
            3 register w2 12
                registered, epoch 3
                * w2 takes 1 from w1
                * w2 has lease 3
            4 put default 14
                done
                * default has 14 partitions
            index 4, 0s, 2 routable
              default/14: 11=w1 12=w2
              w1 [11] lost [12] live, epoch 2, changed at 3
              w2 [12] live, epoch 3, changed at 3
        "#]],
    );
}

#[test]
fn a_count_that_shrinks_and_grows_again_loses_no_claim() {
    check(
        "register w1 1,9; put default 4; look; put default 12",
        expect![[r#"
        2 register w1 1,9
            registered, epoch 2
            * w1 has lease 2
        3 put default 4
            done
            * default has 4 partitions
        index 3, 0s, 1 routable
          default/4: 1=w1
          w1 [1,9] live, epoch 2, changed at 2
        4 put default 12
            done
            * default has 12 partitions
        index 4, 0s, 1 routable
          default/12: 1=w1 9=w1
          w1 [1,9] live, epoch 2, changed at 2
    "#]],
    );
}

#[test]
fn a_strict_registration_out_of_range_is_refused_naming_partition_and_count() {
    check(
        "register w1 0; register w1 3,12,40 strict; register w2 -1 strict; register w3 11 strict; \
         register w4 - strict",
        expect![[r#"
            2 register w1 0
                registered, epoch 2
                * w1 has lease 2
            3 register w1 3,12,40 strict
                refused: partition 12 is outside keyspace default, which has 12 partitions
            4 register w2 -1 strict
                refused: partition -1 is outside keyspace default, which has 12 partitions
            5 register w3 11 strict
                registered, epoch 5
                * w3 has lease 5
            6 register w4 - strict
                registered, epoch 6
                * w4 has lease 6
            index 6, 0s, 3 routable
              default/12: 0=w1 11=w3
              w1 [0] live, epoch 2, changed at 2
              w3 [11] live, epoch 5, changed at 5
              w4 [] live, epoch 6, changed at 6
        "#]],
    );
}

#[test]
fn a_strict_registration_waits_for_the_count_to_be_known() {
    check_unformed(
        "form ? kafka; register w1 0 strict; register w2 - strict; observe default 1; register w1 0 strict",
        expect![[r#"
            1 form ? kafka
                done
                * default has ? partitions
            2 register w1 0 strict
                refused: the partition count of keyspace default is not known yet
            3 register w2 - strict
                registered, epoch 3
                * w2 has lease 3
            4 observe default 1
                done
                * default has 1 partitions
            5 register w1 0 strict
                registered, epoch 5
                * w1 has lease 5
            index 5, 0s, 2 routable
              default/1: 0=w1
              w1 [0] live, epoch 5, changed at 5
              w2 [] live, epoch 3, changed at 3
        "#]],
    );
}

#[test]
fn a_registration_for_an_unknown_keyspace_is_refused() {
    check(
        "register w1 0 ks=nowhere; adopt w1 0 ks=nowhere",
        expect![[r#"
        2 register w1 0 ks=nowhere
            refused: there is no keyspace nowhere
        3 adopt w1 0 ks=nowhere
            refused: there is no keyspace nowhere
        index 3, 0s, 0 routable
          default/12:
    "#]],
    );
}

#[test]
fn the_cluster_is_formed_once() {
    check_unformed(
        "form 12; form 24; put default 24",
        expect![[r#"
        1 form 12
            done
            * default has 12 partitions
        2 form 24
            refused: the cluster is already formed
        3 put default 24
            done
            * default has 24 partitions
        index 3, 0s, 0 routable
          default/24:
    "#]],
    );
}

#[test]
fn an_observation_is_void_where_an_operator_decides() {
    check(
        "observe default 24; put default ? kafka; observe default 24; observe default 24; observe nowhere 1",
        expect![[r#"
            2 observe default 24
                unchanged
            3 put default ? kafka
                done
                * default has 12 partitions
            4 observe default 24
                done
                * default has 24 partitions
            5 observe default 24
                unchanged
            6 observe nowhere 1
                refused: there is no keyspace nowhere
            index 6, 0s, 0 routable
              default/24:
        "#]],
    );
}
