//! Papers, set: what comes out can be kept, is the same every time, and holds as text whatever was put in.
mod specimens;

use papers::{Failure, Logo, Paper, typeset};
use proptest::prelude::*;

fn set(paper: &Paper) -> Vec<u8> {
    typeset(paper, Some(&specimens::attachment())).expect("it can be set")
}

fn holds(pdf: &[u8], wanted: &str) -> bool {
    pdf.windows(wanted.len()).any(|it| it == wanted.as_bytes())
}

#[test]
fn every_paper_is_kept_for_long_and_carries_its_twin() {
    for (name, paper) in specimens::all() {
        let pdf = set(&paper);
        assert!(pdf.starts_with(b"%PDF-1.7"), "{name}");
        for wanted in ["<pdfaid:part>3</pdfaid:part>", "/AFRelationship/Alternative", "INV-2026-000042.xml"] {
            let spaced = wanted.replace("ip/Alt", "ip /Alt");
            assert!(holds(&pdf, wanted) || holds(&pdf, &spaced), "{name} lacks {wanted}");
        }
    }
}

#[test]
fn the_same_paper_is_the_same_to_the_byte_also_after_others() {
    let first = set(&specimens::invoice());
    set(&specimens::hostile());
    assert!(first == set(&specimens::invoice()));
    assert!(first != set(&specimens::credit_note()));
}

#[test]
fn a_logo_is_drawn_and_one_that_cannot_be_is_left_out() {
    let with = |bytes: &[u8], is_svg| {
        let mut paper = specimens::invoice();
        paper.brand.logo = Some(Logo { is_svg, bytes: bytes.to_vec() });
        set(&paper)
    };
    let square = br##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9" height="9" fill="#c00"/></svg>"##;
    let plain = set(&specimens::invoice());
    assert!(with(square, true) != plain);
    for broken in [&b"<svg"[..], b"", b"\x89PNG\r\n\x1a\nbroken"] {
        assert!(with(broken, false) == plain);
        assert!(with(broken, true) == plain);
    }
}

#[test]
fn a_paper_may_be_empty() {
    assert!(typeset(&Paper::default(), None).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any text anywhere: it is set, and so is the text that Typst would run.
    #[test]
    fn any_text_can_be_set(texts in prop::collection::vec(any::<String>(), 8)) {
        let mut paper = specimens::invoice();
        paper.number.clone_from(&texts[0]);
        paper.headline.clone_from(&texts[1]);
        paper.parties[1].name.clone_from(&texts[2]);
        paper.parties[1].lines = vec![texts[3].clone(), format!("#{} ]$*", texts[4])];
        paper.tables[0].rows[0][0].clone_from(&texts[5]);
        paper.notes = vec![texts[6].clone()];
        paper.brand.name.clone_from(&texts[7]);
        let done: Result<Vec<u8>, Failure> = typeset(&paper, None);
        prop_assert!(done.is_ok(), "{:?}", done.err());
    }
}
