//! The specification. Amounts are micro-credits, instants are minutes; g, h and c are grants, holds and charges in the
//! order they were made.
use super::script::check;

#[test]
fn a_charge_draws_from_the_grant_that_expires_first() {
    check(
        "
        0   grant 100 until 50      -> ok
        0   grant 100 until 20      -> ok
        0   grant 100               -> ok
        1   charge 30               -> charged g2:30
        1   balance                 -> 270
        20  due                     -> expired g2:70
        20  balance                 -> 200
        20  charge 120              -> charged g1:100 g3:20
        20  charge 81               -> insufficient_credits 80 of 81
        20  charge 80               -> charged g3:80
        20  balance                 -> 0
    ",
    );
}

#[test]
fn grants_are_drawn_scoped_first_then_by_priority_expiry_free_before_paid_and_age() {
    check(
        "
        0  grant 10                             -> ok
        0  grant 10 paid 10                     -> ok
        0  grant 10                             -> ok
        0  grant 10 paid 10 until 90            -> ok
        0  grant 10 priority 5                  -> ok
        0  grant 10 priority 200 meter chat     -> ok
        0  grant 10 meter plan                  -> ok
        0  grant 10 project p                   -> ok
        1  charge 70 project p                  -> charged g8:10 g6:10 g5:10 g4:10 g1:10 g3:10 g2:10
        1  charge 1                             -> insufficient_credits 0 of 1
        1  charge 10 meter plan                 -> charged g7:10
    ",
    );
}

#[test]
fn a_scoped_grant_pays_for_nothing_else() {
    check(
        "
        0  grant 100 meter server project web  -> ok
        0  charge 1 meter server               -> insufficient_credits 0 of 1
        0  charge 1 meter chat project web     -> insufficient_credits 0 of 1
        0  charge 1 meter server project web   -> charged g1:1
        0  balance                             -> 99
        0  hold 1 meter chat until 9           -> insufficient_credits 0 of 1
        0  hold 9 meter server project web until 9 -> held g1:9
        0  balance                             -> 99 held 9
    ",
    );
}

#[test]
fn a_grant_counts_from_when_it_takes_effect() {
    check(
        "
        0   grant 100 from 10 until 20  -> ok
        9   balance                     -> 0
        9   charge 1                    -> insufficient_credits 0 of 1
        10  balance                     -> 100
        10  charge 40                   -> charged g1:40
        20  due                         -> expired g1:60
        20  grant 5 until 20            -> invalid expires_at
        20  grant 5 from 30 until 30    -> invalid expires_at
        20  grant 0                     -> invalid credits
        20  grant -5                    -> invalid credits
    ",
    );
}

#[test]
fn a_hold_keeps_credits_from_others_until_it_ends() {
    check(
        "
        0  grant 100             -> ok
        0  hold 80 until 10      -> held g1:80
        0  balance               -> 100 held 80
        0  charge 21             -> insufficient_credits 20 of 21
        0  hold 21 until 10      -> insufficient_credits 20 of 21
        1  capture h1 60         -> charged g1:60 released g1:20
        1  balance               -> 40
        1  capture h1 60         -> hold_not_found
        1  release h1            -> hold_not_found
        1  hold 40 until 10      -> held g1:40
        2  release h2            -> released g1:40
        2  balance               -> 40
        2  hold 0 until 10       -> invalid credits
        2  hold 1 until 2        -> invalid expires_at
    ",
    );
}

#[test]
fn a_hold_grows_as_the_stream_flows_and_a_refusal_leaves_it_as_it_was() {
    check(
        "
        0  grant 100                    -> ok
        0  hold 10 until 5              -> held g1:10
        1  extend h1 20 used 8          -> held g1:20
        2  extend h1 71                 -> insufficient_credits 70 of 71
        2  balance                      -> 100 held 30
        2  extend h1 0 used 25 until 9  -> held
        2  extend h1 -1                 -> invalid credits
        5  balance                      -> 100 held 30
        9  due                          -> charged g1:25 released g1:5
        9  balance                      -> 75
    ",
    );
}

#[test]
fn an_expired_hold_captures_what_was_reported_and_releases_the_rest() {
    check(
        "
        0  grant 100               -> ok
        0  hold 50 until 5         -> held g1:50
        0  hold 30 until 5         -> held g1:30
        1  extend h2 0 used 60     -> held
        5  due                     -> expired g1:50
        5  due                     -> charged g1:30 g1:30
        5  balance                 -> 40
        5  capture h2 1            -> hold_not_found
    ",
    );
    check(
        "
        0  grant 100               -> ok
        0  hold 30 until 5         -> held g1:30
        1  extend h1 0 used 120    -> held
        5  due                     -> charged g1:30 g1:70 short 20
        5  balance                 -> 0
    ",
    );
}

#[test]
fn a_capture_above_the_hold_draws_the_rest_or_stops_at_the_limit() {
    check(
        "
        0  grant 100                  -> ok
        0  hold 60 until 9            -> held g1:60
        1  capture h1 90              -> charged g1:60 g1:30
        1  balance                    -> 10
        1  hold 10 until 9            -> held g1:10
        2  capture h2 11              -> insufficient_credits 10 of 11
        2  balance                    -> 10 held 10
        2  capture h2 11 to_limit     -> charged g1:10 short 1
        2  balance                    -> 0
        2  charge 0                   -> charged
    ",
    );
}

#[test]
fn credits_under_a_hold_do_not_expire_until_it_ends() {
    check(
        "
        0   grant 100 until 10       -> ok
        0   hold 60 until 20         -> held g1:60
        10  due                      -> expired g1:40
        10  balance                  -> 60 held 60
        12  capture h1 50            -> charged g1:50 released g1:10
        12  due                      -> expired g1:10
        12  balance                  -> 0
    ",
    );
}

#[test]
fn a_late_event_finds_the_grants_that_lived_when_it_happened() {
    // As it would have been in time: the expiring grant first, then the one that lives on.
    check(
        "
        0   grant 100 until 10       -> ok
        0   grant 50                 -> ok
        10  due                      -> expired g1:100
        12  charge 30 at 5           -> charged expired:g1:30
        12  balance                  -> 50
        12  charge 80 at 9           -> charged expired:g1:70 g2:10
        12  charge 1 at 10           -> charged g2:1
        12  balance                  -> 39
    ",
    );
    // Bought after the event, and spent on it all the same.
    check(
        "
        5   grant 10                 -> ok
        6   charge 10 at 2           -> charged g1:10
    ",
    );
}

#[test]
fn late_has_an_end_and_so_has_early() {
    check(
        "
        0      grant 100 until 10       -> ok
        10     due                      -> expired g1:100
        50409  charge 1 at 9            -> charged expired:g1:1
        50410  charge 1 at 9            -> invalid at
        50410  charge 1 at 10           -> insufficient_credits 0 of 1
        50410  charge 1 at 50416        -> invalid at
        50410  grant 5                  -> ok
        50410  charge 1 at 50415        -> charged g2:1
    ",
    );
}

#[test]
fn a_reversal_unwinds_the_recorded_draws_from_the_last() {
    check(
        "
        0  grant 40 until 90        -> ok
        0  grant 100                -> ok
        1  charge 60                -> charged g1:40 g2:20
        1  grant 30 until 50        -> ok
        2  reverse c1 30            -> reversed g2:20 g1:10
        2  balance                  -> 140
        3  reverse c1 31            -> reversal_exceeds_charge 30
        3  reverse c1 0             -> invalid credits
        3  reverse c1 -1            -> invalid credits
        3  reverse c1               -> reversed g1:30
        3  reverse c1               -> reversal_exceeds_charge 0
        3  balance                  -> 170
    ",
    );
}

#[test]
fn a_reversal_brings_back_a_grant_that_was_used_up() {
    check(
        "
        0   grant 40 until 20  -> ok
        1   charge 40          -> charged g1:40
        2   reverse c1 15      -> reversed g1:15
        2   balance            -> 15
        3   charge 15          -> charged g1:15
        20  reverse c1 10      -> reversed expired:g1:10
        20  balance            -> 0
        21  charge 4 at 3      -> charged expired:g1:4
    ",
    );
}

#[test]
fn debt_is_owed_within_its_limit_and_repaid_by_the_next_grant() {
    check(
        "
        0  grant 10                       -> ok
        1  charge 15 meter server debt 4  -> insufficient_credits 10 of 15
        1  charge 15 meter server debt 5  -> charged g1:10 owed 5
        1  balance                        -> -5 debt 5
        1  charge 1                       -> insufficient_credits -5 of 1
        1  charge 0                       -> charged
        2  grant 3                        -> ok
        2  due                            -> repaid g2:3
        2  balance                        -> -2 debt 2
        3  grant 9 meter chat             -> ok
        3  balance                        -> 7 debt 2
        3  charge 8                       -> insufficient_credits 7 of 8
        3  charge 7                       -> charged g3:7
        4  grant 9 from 6                 -> ok
        6  due                            -> repaid g4:2
        6  balance                        -> 9
    ",
    );
}

#[test]
fn reversing_what_was_owed_lets_go_of_the_debt_or_gives_it_back() {
    check(
        "
        0  charge 10 meter server debt 10  -> charged owed 10
        1  reverse c1 4                    -> reversed forgiven 4
        1  balance                         -> -6 debt 6
        2  grant 5                         -> ok
        2  due                             -> repaid g1:5
        3  reverse c1                      -> reversed forgiven 1 regranted 5
        3  balance                         -> 5
        3  charge 5                        -> charged g2:5
    ",
    );
}

#[test]
fn only_the_unused_part_of_a_grant_can_be_voided() {
    check(
        "
        0  grant 100            -> ok
        0  charge 30            -> charged g1:30
        0  hold 20 until 9      -> held g1:20
        1  void g1              -> voided g1:50
        1  balance              -> 20 held 20
        1  void g1              -> nothing_to_void
        2  capture h1 20        -> charged g1:20
        2  void g1              -> nothing_to_void
    ",
    );
}

#[test]
fn a_closed_account_spends_nothing_new_and_finishes_what_it_began() {
    check(
        "
        0  grant 100         -> ok
        0  hold 20 until 9   -> held g1:20
        1  close             -> ok
        1  close             -> account_closed
        1  charge 1          -> account_closed
        1  hold 1 until 9    -> account_closed
        1  extend h1 1       -> account_closed
        2  capture h1 15     -> charged g1:15 released g1:5
        2  reverse c1 5      -> reversed g1:5
        2  balance           -> 90
    ",
    );
}

#[test]
fn what_is_wrong_with_a_request_is_said_before_what_is_wrong_with_the_account() {
    check(
        "
        0  grant 100                 -> ok
        0  hold 20 until 9           -> held g1:20
        1  close                     -> ok
        1  charge 1 at 7             -> invalid at
        1  hold 1 until 9 at 7       -> invalid at
        1  hold 0 until 9            -> invalid credits
        1  hold 1 until 1            -> invalid expires_at
        1  extend h1 -1              -> invalid credits
        1  extend h1 1 until 1       -> invalid expires_at
        1  release h1                -> released g1:20
        1  extend h1 -1              -> invalid credits
        1  extend h1 1               -> account_closed
    ",
    );
}

#[test]
fn what_is_paid_for_once_costs_no_other_hold_anything() {
    check(
        "
        0  grant 100                     -> ok
        0  hold 30 until 5               -> held g1:30
        0  hold 30 until 6               -> held g1:30
        0  hold 30 until 7               -> held g1:30
        1  extend h1 0 used 20 tree a    -> held
        1  extend h2 0 used 20 tree a    -> held
        1  extend h3 0 used 20 tree b    -> held
        5  due                           -> charged g1:20 released g1:10
        6  due                           -> charged released g1:30
        6  charge 9 tree b               -> charged g1:9
        7  due                           -> charged released g1:30
        7  balance                       -> 71
    ",
    );
}

#[test]
fn a_clock_that_goes_back_does_not_take_the_account_with_it() {
    check(
        "
        9  grant 100             -> ok
        5  charge 10             -> charged g1:10
        5  hold 10 until 7       -> invalid expires_at
        9  balance               -> 90
    ",
    );
}
