//! The fonts inside, in the order they are asked, and what they can draw between them.
//!
//! Inter for most of Europe, Noto for its neighbours' scripts and for emoji, Nanum for Korean and Droid Sans
//! Fallback for Chinese and Japanese. `fonts/README.md` says where each is from and how it was made smaller.
use std::sync::LazyLock;

use typst::foundations::Bytes;
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;

const FILES: &[&[u8]] = &[
    include_bytes!("../fonts/Inter-Regular.otf"),
    include_bytes!("../fonts/Inter-SemiBold.otf"),
    include_bytes!("../fonts/NotoSansArabic-Regular.ttf"),
    include_bytes!("../fonts/NotoSansHebrew-Regular.ttf"),
    include_bytes!("../fonts/NotoSansDevanagari-Regular.ttf"),
    include_bytes!("../fonts/NotoSansThai-Regular.ttf"),
    include_bytes!("../fonts/NotoSansArmenian-Regular.ttf"),
    include_bytes!("../fonts/NotoSansGeorgian-Regular.ttf"),
    include_bytes!("../fonts/NotoEmoji-Regular.ttf"),
    include_bytes!("../fonts/NanumGothic-Regular.ttf"),
    include_bytes!("../fonts/DroidSansFallback.ttf"),
];

pub struct Fonts {
    pub book: LazyHash<FontBook>,
    pub all: Vec<Font>,
}

pub static FONTS: LazyLock<Fonts> = LazyLock::new(|| {
    let all: Vec<Font> = FILES.iter().flat_map(|it| Font::iter(Bytes::new(*it))).collect();
    assert_eq!(all.len(), FILES.len(), "every font inside can be read");
    Fonts { book: LazyHash::new(FontBook::from_fonts(&all)), all }
});

/// Names by which the template asks for them, in the same order.
pub fn families() -> Vec<String> {
    let mut names: Vec<String> = FONTS.all.iter().map(|it| it.info().family.to_string()).collect();
    names.dedup();
    names
}

/// Whether some font of ours draws the letter.
pub fn draws(letter: char) -> bool {
    FONTS.all.iter().any(|it| it.info().coverage.contains(u32::from(letter)))
}

/// Whether the first of them does, which everything is set in where it can be.
pub fn first_draws(letter: char) -> bool {
    FONTS.all.first().is_some_and(|it| it.info().coverage.contains(u32::from(letter)))
}
