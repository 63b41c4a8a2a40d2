//! The specification of credits bought by themselves, given back, and taken back. Prices are minor units; p is a
//! payment of a top-up, in the order they were started.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::vec::Vec;

use proptest::prelude::*;

use super::script::{assert_folds, check, terms, withdrawal, work};
use crate::calendar::Date;
use crate::id::AccountNumber;
use crate::ledger::*;
use crate::money::{Credits, Currency, Money};
use crate::payment::Failure;
use crate::time::{Span, Timestamp};

#[test]
fn a_top_up_is_started_strictly_below_the_threshold_and_one_at_a_time() {
    check(
        "
        0  grant 200             -> ok
        0  topup 100 1000        -> ok
        1  charge 100            -> charged g1:100
        2  charge 1              -> charged g1:1
        2  due                   -> topup 1000 for 10
        3  charge 50             -> charged g1:50
        4  paid p1 1000          -> ok
        5  charge 949            -> charged g1:49 g2:900
        6  charge 1              -> charged g2:1
        6  due                   -> topup 1000 for 10
    ",
    );
}

/// Credits for other work keep none from being refused, so they do not count.
#[test]
fn a_top_up_is_started_by_what_pays_for_any_work() {
    check(
        "
        0  grant 200                -> ok
        0  grant 400 meter server   -> ok
        0  topup 100 1000           -> ok
        1  charge 100               -> charged g1:100
        1  balance                  -> 500
        2  charge 1                 -> charged g1:1
        2  due                      -> topup 1000 for 10
    ",
    );
}

#[test]
fn defect_2_a_gap_of_several_increments_is_one_charge_that_clears_it() {
    check(
        "
        0  grant 100                      -> ok
        0  topup 1000 300 now             -> ok
        0  due                            -> topup 900 for 30
        0  paid p1 900                    -> ok
        1  charge 1                       -> charged g1:1
        1  due                            -> topup 300 for 10
    ",
    );
}

#[test]
fn defect_1_a_declined_card_backs_off_and_after_three_failures_the_rule_pauses() {
    check(
        "
        0     grant 10                   -> ok
        0     topup 100 100 now          -> ok
        0     due                        -> topup 100 for 10
        1     fail p1 declined           -> failed declined
        2     charge 1                   -> charged g1:1
        60    charge 1                   -> charged g1:1
        61    due                        -> topup 100 for 10
        62    fail p2 insufficient_funds -> failed insufficient_funds
        63    topup 100 100              -> ok
        421   charge 1                   -> charged g1:1
        422   due                        -> topup 100 for 10
        423   fail p3 declined           -> failed declined
        9000  charge 1                   -> charged g1:1
        9001  topup 100 100              -> would_charge_now 100 for 10
        9001  topup 100 100 now          -> ok
        9001  due                        -> topup 100 for 10
    ",
    );
}

#[test]
fn a_rule_set_again_while_a_payment_waits_for_the_bank_goes_on_when_that_one_ends() {
    check(
        "
        0   grant 10                              -> ok
        0   topup 100 100 now                     -> ok
        0   due                                   -> topup 100 for 10
        1   fail p1 authentication_required open  -> failed authentication_required
        2   topup 100 100                         -> ok
        3   fail p1 abandoned                     -> failed abandoned
        63  due                                   -> topup 100 for 10
    ",
    );
}

#[test]
fn only_a_payment_that_came_through_ends_a_back_off_early() {
    check(
        "
        0  grant 10               -> ok
        0  topup 100 100 now      -> ok
        0  due                    -> topup 100 for 10
        1  fail p1 declined       -> failed declined
        2  topup 100 50 now       -> ok
        3  grant 5                -> ok
        4  charge 1               -> charged g1:1
        5  paid p1 20             -> ok
        5  due                    -> topup 100 for 20
    ",
    );
}

#[test]
fn defect_9_a_bank_that_wants_the_customer_pauses_the_rule_until_they_have_been_there() {
    check(
        "
        0    grant 10                              -> ok
        0    topup 100 100 now                     -> ok
        0    due                                   -> topup 100 for 10
        1    fail p1 authentication_required open  -> failed authentication_required
        500  charge 1                              -> charged g1:1
        501  paid p1 100                           -> ok
        502  charge 10                             -> charged g1:9 g2:1
        502  due                                   -> topup 100 for 10
        503  fail p2 authentication_required open  -> failed authentication_required
        504  fail p2 abandoned                     -> failed abandoned
        900  charge 1                              -> charged g2:1
        901  topup 100 100 now                     -> ok
        901  due                                   -> topup 100 for 10
    ",
    );
}

#[test]
fn defect_8_the_monthly_maximum_is_a_guarantee_also_across_the_end_of_a_month() {
    // 31 January 1970 ends at minute 44 640.
    check(
        "
        0      grant 150                      -> ok
        0      topup 100 100 price 10 max 25  -> ok
        1      charge 100                     -> charged g1:100
        1      due                            -> topup 100 for 10
        2      paid p1 100                    -> ok
        3      charge 140                     -> charged g1:50 g2:90
        3      due                            -> topup 100 for 10
        4      fail p2 processing_error       -> failed processing_error
        64     due                            -> topup 100 for 10
        65     paid p3 100                    -> ok
        66     charge 20                      -> charged g2:10 g3:10
        44639  charge 1                       -> charged g3:1
        44640  due                            -> topup 100 for 10
        44641  fail p4 declined               -> failed declined
    ",
    );
}

/// A tax that has fallen since: what is under way may be charged as much as was agreed to, and then was not.
#[test]
fn the_monthly_maximum_reserves_what_was_agreed_and_counts_what_was_charged() {
    check(
        "
        0      grant 150                      -> ok
        0      topup 100 100 price 10 max 25  -> ok
        1      charge 100                     -> charged g1:100
        1      due                            -> topup 100 for 10
        2      paid p1 100 charged 7          -> ok
        3      charge 140                     -> charged g1:50 g2:90
        3      due                            -> topup 100 for 10
        4      paid p2 100 charged 7          -> ok
        5      charge 100                     -> charged g2:10 g3:90
        5      due                            -> topup 100 for 10
        6      paid p3 100 charged 7          -> ok
        7      charge 100                     -> charged g3:10 g4:90
        8      balance                        -> 10
        44640  due                            -> topup 100 for 10
    ",
    );
}

#[test]
fn a_top_up_under_way_when_a_month_ends_counts_in_both() {
    check(
        "
        0      grant 150                      -> ok
        0      topup 100 100 price 10 max 15  -> ok
        44639  charge 100                     -> charged g1:100
        44639  due                            -> topup 100 for 10
        44641  paid p1 100                    -> ok
        44642  charge 140                     -> charged g1:50 g2:90
        84959  balance                        -> 10
        84960  due                            -> topup 100 for 10
    ",
    );
}

#[test]
fn money_of_a_top_up_that_was_given_up_counts_when_it_comes_after_all() {
    check(
        "
        0    grant 100                       -> ok
        0    topup 100 100 price 10 max 15   -> ok
        1    charge 50                       -> charged g1:50
        1    due                             -> topup 100 for 10
        2    fail p1 processing_error        -> failed processing_error
        3    paid p1 100                     -> ok
        4    charge 100                      -> charged g1:50 g2:50
        100  balance                         -> 50
    ",
    );
}

#[test]
fn the_monthly_maximum_is_of_the_customers_month_and_survives_a_move() {
    let (vilnius, hours) = (2, |count: i64| Timestamp::EPOCH + Span::HOUR.times(count));
    let in_zone = |offset: i32| {
        let calendar = crate::zone::Calendar::new(std::vec![(Timestamp::EPOCH, offset * 3600)]).expect("it is one");
        Command::BurnTerms(Arc::new(BurnTerms { calendar, ..BurnTerms::default() }))
    };
    let mut book = Book::open(AccountNumber::from_random(1));
    let mut tell = |command: Command, at: Timestamp| {
        while let Some((due, when)) = book.due(at) {
            let transaction = book.decide(&due, when).expect("what is due is never refused");
            book.apply(&transaction);
        }
        let transaction = book.decide(&command, at).expect("it is done");
        book.apply(&transaction);
        (book.topup_spent(at), book.topup().and_then(|it| it.under_way.clone()).map(|it| it.payment))
    };
    let price = Money { amount: 10, currency: Currency::EUR };
    let (threshold, credits) = (Credits::from_micros(100), Credits::from_micros(100));
    let rule = Arc::new(Rule { threshold, credits, price, monthly_max: Some(10), method: None });
    tell(in_zone(vilnius), hours(0));
    tell(Command::SetTopup { rule, is_on: true, charge_now_max: i64::MAX }, hours(1));
    // One hour before UTC's February, it is February in Vilnius.
    let last = 31 * 24 - 1;
    let (spent, payment) = tell(Command::BurnTerms(Arc::new(BurnTerms::default())), hours(2));
    assert_eq!(spent, 10);
    let paid = Terms { payment: payment.map(|it| std::format!("{it}").as_str().into()), ..terms(50) };
    assert_eq!(tell(Command::Grant(Arc::new(paid)), hours(3)), (10, None));
    assert_eq!(tell(in_zone(vilnius), hours(last)).0, 0, "the month is over where the customer is");
    let (spent, payment) = tell(in_zone(vilnius), hours(last));
    assert!(spent == 10 && payment.is_some(), "and the next top-up begins with it");
    // Back in UTC it is January again: what was counted an hour ago is not forgotten.
    assert_eq!(tell(in_zone(0), hours(last)).0, 10);
    assert_eq!(tell(in_zone(0), hours(last + 2)).0, 10);
}

#[test]
fn defect_6_a_rule_that_is_off_starts_nothing() {
    check(
        "
        0   grant 10               -> ok
        0   topup 100 100 off      -> ok
        1   charge 1               -> charged g1:1
        2   topup 100 100          -> would_charge_now 100 for 10
        2   topup 200 100 now=10   -> would_charge_now 200 for 20
        2   topup 100 100 now=9    -> would_charge_now 100 for 10
        3   topup 100 100 now=10   -> ok
        3   due                    -> topup 100 for 10
        4   topup 100 100 off      -> ok
        5   fail p1 switched_off   -> failed switched_off
        6   topup 100 100 now      -> ok
        6   due                    -> topup 100 for 10
        7   close                  -> ok
        8   paid p2 50             -> ok
    ",
    );
}

#[test]
fn a_rule_that_could_never_top_up_is_refused() {
    check(
        "
        0  topup -1 100              -> invalid threshold
        0  topup 10 0                -> invalid credits
        0  topup 10 10 price 0       -> invalid credits
        0  topup 10 10 price 9 max 8 -> invalid monthly_maximum
    ",
    );
}

#[test]
fn refunds_take_what_is_unused_and_no_more() {
    check(
        "
        0  grant 100 paid 100       -> ok
        1  charge 60                -> charged g1:60
        2  withdraw g1 41           -> refund_exceeds_unused 40
        2  withdraw g1 10           -> withdrawn g1:10
        2  balance                  -> 30
        3  withdraw g1 30           -> withdrawn g1:30
        3  withdraw g1 1            -> refund_exceeds_unused 0
        4  restore g1 30            -> restored g1:30
        4  balance                  -> 30
        5  charge 30                -> charged g1:30
    ",
    );
}

#[test]
fn defect_14_a_dispute_freezes_first_and_takes_only_when_it_is_lost() {
    check(
        "
        0   grant 100 paid 100      -> ok
        0   grant 50                -> ok
        1   charge 60               -> charged g2:50 g1:10
        2   freeze g1               -> ok
        2   balance                 -> 0
        3   charge 1                -> insufficient_credits 0 of 1
        4   thaw g1                 -> ok
        4   balance                 -> 90
        5   charge 40               -> charged g1:40
        6   freeze g1               -> ok
        7   withdraw g1 80 dispute  -> withdrawn g1:50 owed 30
        7   balance                 -> -30 debt 30
        8   thaw g1                 -> ok
        9   grant 100               -> ok
        9   due                     -> repaid g3:30
        9   balance                 -> 70
    ",
    );
}

#[test]
fn a_dispute_over_spent_credits_is_all_debt_and_a_partial_one_takes_its_part() {
    check(
        "
        0  grant 100 paid 100       -> ok
        1  charge 100               -> charged g1:100
        2  freeze g1                -> ok
        3  withdraw g1 40 dispute   -> withdrawn g1:0 owed 40
        3  balance                  -> -40 debt 40
        4  thaw g1                  -> ok
        4  grant 100 paid 100       -> ok
        4  due                      -> repaid g2:40
        5  reverse c1               -> reversed g1:100
        5  balance                  -> 160
        6  withdraw g1 30           -> withdrawn g1:30
        6  balance                  -> 130
    ",
    );
}

#[test]
fn what_comes_back_to_a_grant_that_was_used_up_is_frozen_while_its_payment_is_disputed() {
    check(
        "
        0  grant 100 paid 100       -> ok
        1  charge 100               -> charged g1:100
        2  freeze g1                -> ok
        3  reverse c1 60            -> reversed g1:60
        3  balance                  -> 0
        3  charge 1                 -> insufficient_credits 0 of 1
        4  thaw g1                  -> ok
        4  balance                  -> 60
        5  charge 60                -> charged g1:60
        6  freeze g1                -> ok
        7  restore g1 10            -> restored g1:10
        7  balance                  -> 0
        8  withdraw g1 10 dispute   -> withdrawn g1:10
        9  reverse c2 20            -> reversed g1:20
        9  balance                  -> 0
        9  thaw g1                  -> ok
        9  balance                  -> 20
    ",
    );
}

#[test]
fn the_time_of_a_dispute_is_not_of_a_grants_life() {
    check(
        "
        0    grant 100 until 100 paid 100  -> ok
        0    grant 7 until 180             -> ok
        10   charge 10                     -> charged g1:10
        50   freeze g1                     -> ok
        120  balance                       -> 7
        150  thaw g1                       -> ok
        150  balance                       -> 97
        151  charge 8                      -> charged g2:7 g1:1
        160  freeze g1                     -> ok
        170  thaw g1                       -> ok
        209  charge 9                      -> charged g1:9
        210  due                           -> expired g1:80
        211  reverse c1                    -> reversed expired:g1:10
    ",
    );
}

#[test]
fn what_expired_before_its_payment_was_disputed_stays_expired() {
    check(
        "
        0    grant 100 until 100 paid 100  -> ok
        0    grant 50 until 300 paid 100   -> ok
        10   charge 120                    -> charged g1:100 g2:20
        20   reverse c1 30                 -> reversed g2:20 g1:10
        100  due                           -> expired g1:10
        110  freeze g1                     -> ok
        120  reverse c1 5                  -> reversed expired:g1:5
        130  thaw g1                       -> ok
        130  balance                       -> 50
        131  freeze g2                     -> ok
        141  charge 0                      -> charged
        151  thaw g2                       -> ok
        161  charge 50                     -> charged g2:50
        310  reverse c3 10                 -> reversed g2:10
        320  due                           -> expired g2:10
    ",
    );
}

#[test]
fn a_lost_dispute_takes_what_would_have_expired_meanwhile() {
    check(
        "
        0    grant 100 until 100 paid 100  -> ok
        10   charge 60                     -> charged g1:60
        50   freeze g1                     -> ok
        150  withdraw g1 100 dispute       -> withdrawn g1:40 owed 60
        150  thaw g1                       -> ok
        150  balance                       -> -60 debt 60
    ",
    );
}

#[test]
fn a_reversal_after_a_lost_dispute_of_an_expired_grant_lets_go_of_the_debt_first() {
    check(
        "
        0    grant 100 until 100 paid 100  -> ok
        10   charge 60                     -> charged g1:60
        100  due                           -> expired g1:40
        101  freeze g1                     -> ok
        102  withdraw g1 90 dispute        -> withdrawn g1:0 expired:g1:40 owed 50
        103  thaw g1                       -> ok
        103  balance                       -> -50 debt 50
        103  counted g1                    -> used 60 forfeited 0 returned 40
        104  reverse c1 10                 -> reversed forgiven 10
        104  balance                       -> -40 debt 40
        105  grant 30                      -> ok
        105  due                           -> repaid g2:30
        106  reverse c1 30                 -> reversed forgiven 10 regranted 20
        106  balance                       -> 20
        107  reverse c1 20                 -> reversed expired:g1:10 regranted 10
        107  balance                       -> 30
        107  counted g1                    -> used 0 forfeited 10 returned 90
    ",
    );
}

#[test]
fn what_came_back_to_a_lost_grant_and_repaid_its_debt_is_not_let_go_again() {
    check(
        "
        0    grant 100 until 100 paid 100  -> ok
        10   charge 100                    -> charged g1:100
        20   freeze g1                     -> ok
        30   withdraw g1 40 dispute        -> withdrawn g1:0 owed 40
        40   thaw g1                       -> ok
        50   reverse c1 60                 -> reversed g1:60
        50   due                           -> repaid g1:40
        50   balance                       -> 20
        120  due                           -> expired g1:20
        121  reverse c1                    -> reversed expired:g1:40
        121  balance                       -> 0
    ",
    );
}

#[test]
fn what_a_hold_gives_back_to_an_expired_grant_whose_dispute_was_lost_repays_the_debt_for_it() {
    check(
        "
        0    grant 100 until 100 paid 100  -> ok
        10   charge 40                     -> charged g1:40
        20   hold 60 until 300             -> held g1:60
        110  freeze g1                     -> ok
        111  withdraw g1 50 dispute        -> withdrawn g1:0 owed 50
        112  thaw g1                       -> ok
        112  balance                       -> 10 held 60 debt 50
        200  release h1                    -> released g1:60
        200  due                           -> repaid g1:50
        200  due                           -> expired g1:10
        200  counted g1                    -> used 40 forfeited 10 returned 50
        200  balance                       -> 0
        201  reverse c1                    -> reversed expired:g1:40
    ",
    );
}

#[test]
fn what_a_bank_took_of_an_expired_grant_no_late_event_draws_again() {
    check(
        "
        0    grant 100 until 10 paid 50    -> ok
        0    grant 5                       -> ok
        10   due                           -> expired g1:100
        11   freeze g1                     -> ok
        12   withdraw g1 100 dispute       -> withdrawn g1:0 expired:g1:100
        12   thaw g1                       -> ok
        13   charge 30 at 5                -> insufficient_credits 5 of 30
        13   charge 3 at 5                 -> charged g2:3
        13   balance                       -> 2
        13   counted g1                    -> used 0 forfeited 0 returned 100
    ",
    );
    // Of a loss in part, what the bank left may still be drawn; and what was drawn meanwhile is owed.
    check(
        "
        0    grant 100 until 10 paid 50    -> ok
        5    charge 20                     -> charged g1:20
        10   due                           -> expired g1:80
        11   charge 10 at 5                -> charged expired:g1:10
        11   freeze g1                     -> ok
        12   charge 1 at 5                 -> insufficient_credits 0 of 1
        12   withdraw g1 50 dispute        -> withdrawn g1:0 expired:g1:50
        12   thaw g1                       -> ok
        13   charge 21 at 5                -> insufficient_credits 20 of 21
        13   charge 15 at 5                -> charged expired:g1:15
        14   freeze g1                     -> ok
        15   withdraw g1 50 dispute        -> withdrawn g1:0 expired:g1:5 owed 45
        15   thaw g1                       -> ok
        15   balance                       -> -45 debt 45
        15   counted g1                    -> used 45 forfeited 0 returned 55
    ",
    );
}

/// A refund of what is unused takes nothing of what expired: that was offered for as long as it was agreed.
#[test]
fn what_has_expired_is_not_refunded_but_by_hand() {
    check(
        "
        0    grant 100 until 10 paid 50    -> ok
        5    charge 60                     -> charged g1:60
        10   due                           -> expired g1:40
        11   withdraw g1 1                 -> refund_exceeds_unused 0
        12   withdraw g1 30 by_hand        -> withdrawn g1:0 expired:g1:30
        12   charge 11 at 5                -> insufficient_credits 10 of 11
        13   restore g1 30                 -> restored g1:30
        13   due                           -> expired g1:30
        13   charge 40 at 5                -> charged expired:g1:40
    ",
    );
}

#[test]
fn a_refund_by_hand_that_failed_leaves_no_debt_though_the_grant_has_expired() {
    check(
        "
        0    grant 100 until 10 paid 50    -> ok
        5    charge 60                     -> charged g1:60
        10   due                           -> expired g1:40
        12   withdraw g1 100 by_hand       -> withdrawn g1:0 expired:g1:40 owed 60
        12   balance                       -> -60 debt 60
        13   restore g1 100                -> restored g1:100
        13   due                           -> repaid g1:60
        13   due                           -> expired g1:40
        13   balance                       -> 0
        13   counted g1                    -> used 60 forfeited 40 returned 0
    ",
    );
}

/// What others repaid of a debt is theirs again, when what it was for turns out to have expired unspent.
#[test]
fn what_others_repaid_comes_back_when_the_hold_it_was_owed_for_is_released() {
    check(
        "
        0    grant 100 until 100 paid 100  -> ok
        10   charge 40                     -> charged g1:40
        20   hold 60 until 300             -> held g1:60
        110  freeze g1                     -> ok
        111  withdraw g1 50 dispute        -> withdrawn g1:0 owed 50
        112  thaw g1                       -> ok
        113  grant 30                      -> ok
        113  due                           -> repaid g2:30
        113  balance                       -> 40 held 60 debt 20
        200  release h1                    -> released g1:60
        200  due                           -> repaid g1:50 regranted 30
        200  due                           -> expired g1:10
        200  balance                       -> 30
        200  counted g1                    -> used 40 forfeited 10 returned 50
        201  reverse c1                    -> reversed expired:g1:40
        202  charge 30                     -> charged g3:30
    ",
    );
    // So it is where it came back while the grant lived on, and nobody used it.
    check(
        "
        0    grant 100 until 100 paid 100  -> ok
        10   hold 60 until 300             -> held g1:60
        20   charge 40                     -> charged g1:40
        30   freeze g1                     -> ok
        40   withdraw g1 50 dispute        -> withdrawn g1:0 owed 50
        40   thaw g1                       -> ok
        41   grant 50                      -> ok
        41   due                           -> repaid g2:50
        50   release h1                    -> released g1:60
        50   balance                       -> 60
        60   charge 5                      -> charged g1:5
        110  due                           -> repaid g1:50 regranted 50
        110  due                           -> expired g1:5
        110  balance                       -> 50
    ",
    );
}

#[test]
fn an_expired_grant_repays_no_debt_but_its_own() {
    check(
        "
        0    grant 100 until 100 paid 100  -> ok
        0    grant 5                       -> ok
        10   hold 60 until 300             -> held g1:60
        20   charge 40                     -> charged g1:40
        110  charge 25 debt 20             -> charged g2:5 owed 20
        111  freeze g1                     -> ok
        112  withdraw g1 50 dispute        -> withdrawn g1:0 owed 50
        113  thaw g1                       -> ok
        113  balance                       -> -10 held 60 debt 70
        300  due                           -> expired g1:60
        300  due                           -> repaid g1:50
        300  due                           -> expired g1:10
        300  counted g1                    -> used 40 forfeited 10 returned 50
        300  balance                       -> -20 debt 20
    ",
    );
}

#[test]
fn a_dispute_stops_the_auto_topup_until_it_is_settled() {
    check(
        "
        0  grant 100 paid 100       -> ok
        0  topup 50 100             -> ok
        1  freeze g1                -> ok
        2  charge 1                 -> insufficient_credits 0 of 1
        3  topup 50 100 now         -> ok
        4  charge 1                 -> insufficient_credits 0 of 1
        5  thaw g1                  -> ok
        6  charge 60                -> charged g1:60
        6  due                      -> topup 100 for 10
    ",
    );
}

#[test]
fn a_dispute_that_was_won_does_not_set_a_rule_again_that_had_paused_before() {
    check(
        "
        0   grant 60                     -> ok
        0   grant 100 paid 100           -> ok
        0   topup 50 100                 -> ok
        1   charge 120                   -> charged g1:60 g2:60
        1   due                          -> topup 100 for 10
        2   fail p1 no_payment_method    -> failed no_payment_method
        3   freeze g2                    -> ok
        4   thaw g2                      -> ok
        90  balance                      -> 40
        91  topup 50 100 now             -> ok
        91  due                          -> topup 100 for 10
    ",
    );
}

#[test]
fn a_rule_made_while_a_payment_is_disputed_waits_for_its_end() {
    check(
        "
        0  grant 100 paid 100       -> ok
        0  grant 10                 -> ok
        1  freeze g1                -> ok
        2  topup 50 100             -> ok
        3  thaw g1                  -> ok
        4  charge 70                -> charged g2:10 g1:60
        4  due                      -> topup 100 for 10
    ",
    );
}

#[test]
fn a_dispute_stops_a_rule_whatever_it_had_paused_for_and_one_that_is_lost_until_it_is_set_again() {
    check(
        "
        0   grant 60                     -> ok
        0   grant 100 paid 100           -> ok
        0   topup 50 100                 -> ok
        1   charge 120                   -> charged g1:60 g2:60
        1   due                          -> topup 100 for 10
        2   fail p1 no_payment_method    -> failed no_payment_method
        3   freeze g2                    -> ok
        4   topup 50 100 now             -> ok
        5   withdraw g2 60 dispute       -> withdrawn g2:40 owed 20
        6   thaw g2                      -> ok
        90  balance                      -> -20 debt 20
        91  topup 50 100                 -> would_charge_now 100 for 10
        91  topup 50 100 now             -> ok
        91  due                          -> topup 100 for 10
    ",
    );
}

#[derive(Clone, Debug)]
enum Step {
    Set { threshold: i64, credits: i64, max: Option<i64>, is_on: bool },
    Charge(i64),
    Settle { is_paid: bool },
    Freeze(bool),
    Withdraw { credits: i64, is_dispute: bool },
    Wait { hours: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..200i64, 1..100i64, prop::option::of(10..60i64), prop::bool::weighted(0.8))
            .prop_map(|(threshold, credits, max, is_on)| Step::Set { threshold, credits, max, is_on }),
        6 => (1..80i64).prop_map(Step::Charge),
        5 => any::<bool>().prop_map(|is_paid| Step::Settle { is_paid }),
        1 => any::<bool>().prop_map(Step::Freeze),
        1 => (1..50i64, any::<bool>()).prop_map(|(credits, is_dispute)| Step::Withdraw { credits, is_dispute }),
        4 => (1..300i64).prop_map(|hours| Step::Wait { hours }),
    ]
}

fn command(step: &Step, book: &Book, at: Timestamp) -> Option<Command> {
    let first = book.grants().first().map(|it| it.id);
    Some(match *step {
        Step::Wait { .. } => return None,
        Step::Set { threshold, credits, max, is_on } => {
            let price = Money { amount: 10, currency: Currency::EUR };
            let (threshold, credits) = (Credits::from_micros(threshold), Credits::from_micros(credits));
            let rule = Arc::new(Rule { threshold, credits, price, monthly_max: max, method: None });
            Command::SetTopup { rule, is_on, charge_now_max: i64::MAX }
        }
        Step::Charge(credits) => {
            let work = Arc::new(work("chat", credits, at));
            Command::Charge(Spend { work, debt_max: Credits::ZERO })
        }
        Step::Settle { is_paid } => {
            let under_way = book.topup()?.under_way.as_ref()?;
            if !is_paid {
                return Some(Command::FailTopup {
                    payment: under_way.payment,
                    failure: Failure::Declined,
                    is_over: true,
                });
            }
            let cost = Some(Money { amount: under_way.credits.micros() * 5 / 3, currency: Currency::EUR });
            // As agreed, or less, as where a tax has fallen; and of before, nobody wrote it down.
            let less = [None, Some(0), Some(3)][usize::try_from(under_way.credits.micros() % 3).unwrap_or(0)];
            let charged = less.map(|it| under_way.total - it);
            let payment = Some(std::format!("{}", under_way.payment).as_str().into());
            let terms = terms(under_way.credits.micros());
            Command::Grant(Arc::new(Terms { cost, charged, payment, effective_at: at, ..terms }))
        }
        Step::Freeze(is_frozen) => Command::Freeze { grant: first?, is_frozen, expires_at: Timestamp::NEVER },
        Step::Withdraw { credits, is_dispute } => {
            let cause = if is_dispute { Cause::Dispute } else { Cause::Refund };
            let owed = if is_dispute { Credits::from_micros(credits) } else { Credits::ZERO };
            Command::Withdraw(Withdrawal { owed, ..withdrawal(first?, credits, (credits, cause)) })
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is charged, declined, disputed and waited for: no month is charged more than the smallest maximum that
    /// was in force when something was started, one top-up is under way, and the book is the fold of its journal.
    #[test]
    fn the_rule_keeps_its_promises(steps in prop::collection::vec(step(), 1..120)) {
        let mut book = Book::open(AccountNumber::from_random(1));
        let mut journal = Vec::new();
        let mut now = Timestamp::EPOCH + Span::DAY.times(20);
        let mut months: BTreeMap<Date, i64> = BTreeMap::new();
        for step in &steps {
            if let Step::Wait { hours } = step {
                now = now + Span::HOUR.times(*hours);
            }
            let mut asked = command(step, &book, now);
            let mut rounds = 0;
            // What time has brought about comes first, then the command, then what it brought about.
            loop {
                let next = match book.due(now) {
                    Some((due, when)) => book.decide(&due, when).expect("what is due is never refused"),
                    None => match asked.take() {
                        None => break,
                        Some(asked) => match book.decide(&asked, now) {
                            Ok(transaction) => transaction,
                            Err(_) => break,
                        },
                    },
                };
                rounds += 1;
                prop_assert!(rounds < 50, "time comes to rest");
                let month = |payment: crate::id::PaymentId| Date::of(payment.made_at()).month_start();
                let before = book.topup().cloned();
                match &next.what {
                    What::Topup(TopupChange::Started { payment, total, credits, .. }) => {
                        let before = before.expect("there is a rule");
                        prop_assert!(before.is_on && before.paused.is_none() && before.under_way.is_none());
                        prop_assert!(before.retry_at <= next.at);
                        let balance = book.balance(next.at).available();
                        prop_assert!(balance < before.rule.threshold, "strictly below");
                        let sum = months.entry(month(*payment)).or_default();
                        *sum += total.amount;
                        prop_assert!(before.rule.monthly_max.is_none_or(|most| *sum <= most));
                        prop_assert_eq!(total.amount % 10, 0);
                        prop_assert_eq!(credits.micros() / before.rule.credits.micros(), total.amount / 10);
                    }
                    What::Topup(TopupChange::Failed { payment, .. }) => {
                        let total = before.and_then(|it| it.under_way).expect("it was under way").total;
                        *months.entry(month(*payment)).or_default() -= total;
                    }
                    What::Granted { terms, .. } => {
                        let paid = before.and_then(|it| it.under_way).expect("it was under way");
                        let charged = terms.charged.unwrap_or(paid.total);
                        *months.entry(month(paid.payment)).or_default() -= paid.total - charged;
                    }
                    _ => {}
                }
                book.apply(&next);
                journal.push(next);
            }
            prop_assert_eq!(book.due(now), None);
        }
        assert_folds(&journal, &book);
    }
}
