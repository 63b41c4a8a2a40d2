//! How the operator's pages present themselves: a name, a logo, one colour, and who may embed them.
//!
//! Invariant: a [`Brand`] that exists can be served under the pages' content security policy: its colour is a colour,
//! its origins are origins, its logo is in memory.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

/// Bytes of a logo, which every page loads.
const LOGO_BYTES_MAX: usize = 256 << 10;

#[derive(Clone, Debug)]
pub struct Brand {
    pub name: String,
    pub logo: Option<Logo>,
    pub accent: Accent,
    /// Whose pages may show ours inside a frame, such as `https://app.example.com`.
    pub embed_origins: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Logo {
    pub content_type: &'static str,
    pub bytes: Arc<[u8]>,
}

/// A colour for buttons and links.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accent {
    red: u8,
    green: u8,
    blue: u8,
}

/// The section `[pages]` of the configuration. All may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Section {
    pub brand: Option<String>,
    /// An SVG or PNG file.
    pub logo: Option<PathBuf>,
    /// `#rrggbb`.
    pub accent: Option<String>,
    pub embed_origins: Vec<String>,
}

impl Default for Brand {
    fn default() -> Brand {
        let accent = Accent { red: 0x3a, green: 0x5b, blue: 0xd9 };
        Brand { name: "Scrip".to_owned(), logo: None, accent, embed_origins: Vec::new() }
    }
}

impl Section {
    /// Checks everything and reads the logo.
    ///
    /// # Errors
    /// The first fault, with the name of what is at fault.
    pub fn checked(self) -> Result<Brand, String> {
        let blank = Brand::default();
        let name = self.brand.unwrap_or(blank.name);
        if name.trim().is_empty() || 60 < name.len() || name.chars().any(char::is_control) {
            return Err("pages.brand: must be 1 to 60 bytes".to_owned());
        }
        if let Some(wrong) = self.embed_origins.iter().find(|it| !is_origin(it)) {
            return Err(format!("pages.embed_origins: `{wrong}` is not an origin such as https://app.example.com"));
        }
        Ok(Brand {
            name,
            logo: self.logo.as_deref().map(read_logo).transpose()?,
            accent: self.accent.as_deref().map_or(Ok(blank.accent), Accent::parse)?,
            embed_origins: self.embed_origins,
        })
    }
}

impl Accent {
    fn parse(text: &str) -> Result<Accent, String> {
        let wrong = || format!("pages.accent: `{text}` is not a colour such as #3a5bd9");
        let digits = text.strip_prefix('#').filter(|it| it.len() == 6 && it.is_ascii()).ok_or_else(wrong)?;
        let channel = |from: usize| u8::from_str_radix(&digits[from..from + 2], 16).map_err(|_| wrong());
        Ok(Accent { red: channel(0)?, green: channel(2)?, blue: channel(4)? })
    }

    /// Red, green, blue.
    pub fn channels(self) -> [u8; 3] {
        [self.red, self.green, self.blue]
    }

    /// As style sheets write it.
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }

    /// Black or white, whichever reads better on it.
    pub fn ink(self) -> &'static str {
        let Accent { red, green, blue } = self;
        // Perceived lightness in thousandths of 255, by the weights of ITU-R BT.601.
        let lightness = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
        if 150 * 1_000 < lightness { "#111" } else { "#fff" }
    }

    /// Custom properties for the style sheet: the colour, and black or white, whichever reads better on it.
    pub fn style(self) -> String {
        format!(":root{{--brand:{};--brand-ink:{}}}\n", self.hex(), self.ink())
    }
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|it| {
        !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-' | b':' | b'*'))
    })
}

fn read_logo(path: &Path) -> Result<Logo, String> {
    let content_type = match path.extension().and_then(|it| it.to_str()) {
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => return Err(format!("pages.logo: {} is neither .svg nor .png", path.display())),
    };
    let bytes = std::fs::read(path).map_err(|it| format!("pages.logo: cannot read {}: {it}", path.display()))?;
    if LOGO_BYTES_MAX < bytes.len() {
        return Err(format!("pages.logo: {} has more than 256 KiB", path.display()));
    }
    Ok(Logo { content_type, bytes: bytes.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_leave_its_place_is_refused() {
        let wrong = |section: Section| section.checked().expect_err("it is wrong");
        for accent in ["red", "#12345", "#12345g", "#3a5bd9;}", "#ééé"] {
            assert!(wrong(Section { accent: Some(accent.to_owned()), ..Section::default() }).contains("accent"));
        }
        for origin in ["app.example.com", "https://", "https://a b", "https://a.com/x", "https://a.com;script-src *"] {
            let section = Section { embed_origins: vec![origin.to_owned()], ..Section::default() };
            assert!(wrong(section).contains("embed_origins"), "{origin}");
        }
    }

    #[test]
    fn ink_reads_on_the_accent() {
        assert!(Accent::parse("#ffe08a").expect("a colour").style().contains("--brand-ink:#111"));
        assert!(Brand::default().accent.style().contains("--brand-ink:#fff"));
    }
}
