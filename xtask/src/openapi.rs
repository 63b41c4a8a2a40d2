//! openapi.json: generated from the code and kept in the repository, where a change of the API shows in review.

use crate::process::{Outcome, Problem, command, output_of, read, root};
use crate::served;

const FILE: &str = "openapi.json";

pub fn write() -> Outcome {
    crate::process::write(&root().join(FILE), generated()?)?;
    println!("wrote {FILE}");
    Ok(())
}

pub fn check() -> Outcome {
    let kept = read(&root().join(FILE)).map_err(|problem| Problem::new(format!("{problem}; {REMEDY}")))?;
    let fresh = generated()?;
    match kept.lines().zip(fresh.lines()).position(|(kept, fresh)| kept != fresh) {
        None if kept == fresh => {
            println!("{FILE} is what the code says");
            Ok(())
        }
        at => {
            let line = at.unwrap_or_else(|| kept.lines().count().min(fresh.lines().count())) + 1;
            Err(Problem::new(format!("{FILE}:{line}: differs from what the code says; {REMEDY}")))
        }
    }
}

const REMEDY: &str = "run `cargo xtask openapi` and look at the difference";

/// The document as the binary prints it, ending in one newline.
fn generated() -> Outcome<String> {
    let scrip = served::built()?;
    let printed = output_of(command(&scrip).arg("openapi"))?;
    let text = String::from_utf8(printed).map_err(|_| Problem::new("`scrip openapi` printed what is not UTF-8"))?;
    Ok(format!("{}\n", text.trim_end()))
}
