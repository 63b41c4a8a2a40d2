//! Sets a few papers, to be looked at: `cargo run -p papers --example specimen -- FOLDER`.
#[path = "../tests/it/specimens.rs"]
mod specimens;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::path::PathBuf::from(std::env::args().nth(1).ok_or("name a folder")?);
    for (name, paper) in specimens::all() {
        std::fs::write(folder.join(format!("{name}.pdf")), papers::typeset(&paper, Some(&specimens::attachment()))?)?;
    }
    Ok(())
}
