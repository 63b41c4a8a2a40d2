//! Names that say a language, and are not in the tables: other endings of languages that they have, and names that have
//! no ending.
//!
//! Must never know: contents. Invariant: what several languages share (`.pro`, `.inc`) is none of these; Linguist asks
//! the content there, and the tables have their own answer.

use tokei::LanguageType;
use tokei::LanguageType as L;

/// By the name, in any case.
pub fn language(name: &str) -> Option<LanguageType> {
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("dockerfile.") {
        return Some(L::Dockerfile);
    }
    // The tables take it for a Dockerfile; it is a list of names.
    if lower.ends_with("dockerignore") {
        return Some(L::Text);
    }
    let named = NAMES.iter().find(|(_, names)| names.contains(&lower.as_str()));
    let ends = || ENDINGS.iter().find(|(_, endings)| endings.iter().any(|ending| lower.ends_with(ending)));
    named.or_else(ends).map(|(language, _)| *language)
}

const NAMES: [(LanguageType, &[&str]); 16] = [
    (L::Autoconf, &["configure.ac"]),
    (L::Bash, &[".bashrc", ".bash_profile", ".bash_aliases", ".bash_logout", ".envrc", ".profile"]),
    (L::Bazel, &["buck", "tiltfile"]),
    (L::CoffeeScript, &["cakefile"]),
    (L::Dockerfile, &["containerfile"]),
    (L::Groovy, &["jenkinsfile"]),
    (L::Ini, &[".env.example", ".env.sample", ".env.template", ".env.dist", ".editorconfig"]),
    (L::JavaScript, &["jakefile"]),
    (L::Lua, &[".luacheckrc"]),
    (L::Perl, &["cpanfile"]),
    (L::Php, &[".php_cs", ".php_cs.dist"]),
    (L::Python, &["wscript", ".gclient"]),
    (
        L::Ruby,
        &[
            "appfile",
            "appraisals",
            "berksfile",
            "brewfile",
            "capfile",
            "dangerfile",
            "deliverfile",
            "fastfile",
            "gemfile",
            "guardfile",
            "podfile",
            "puppetfile",
            "snapfile",
            "steepfile",
            "thorfile",
            "vagrantfile",
            ".irbrc",
            ".pryrc",
            ".simplecov",
        ],
    ),
    (L::VimScript, &[".vimrc", ".gvimrc"]),
    (L::Yaml, &["procfile"]),
    (L::Zsh, &[".zshrc", ".zshenv", ".zprofile"]),
];

const ENDINGS: [(LanguageType, &[&str]); 27] = [
    (L::Assembly, &[".nasm", ".a51"]),
    (L::Bash, &[".bats"]),
    (L::Cpp, &[".txx", ".tcc"]),
    (L::CppHeader, &[".h++"]),
    (L::Cuda, &[".cuh"]),
    (L::Dockerfile, &[".containerfile"]),
    (L::Erlang, &[".escript", ".yrl", ".xrl", ".app.src"]),
    (L::Glsl, &[".fsh", ".vsh", ".fshader", ".vshader", ".glslf", ".glslv"]),
    // To Linguist it is data; it says what the project is made of, as other manifests do.
    (L::Groovy, &[".gradle"]),
    (L::Haskell, &[".hsc", ".hs-boot", ".chs"]),
    (L::Hcl, &[".nomad", ".tofu"]),
    (L::Hlsl, &[".hlsli", ".fxh"]),
    (L::Html, &[".xhtml", ".xht", ".hta", ".ejs", ".heex", ".leex", ".jsp"]),
    (L::JavaScript, &[".es6", ".jsm", ".jsb", ".jscad", ".njs", ".sjs", ".ssjs", ".xsjs"]),
    (L::Jinja2, &[".jinja2", ".njk"]),
    (L::Lua, &[".rockspec", ".nse", ".wlua"]),
    (L::Makefile, &[".make", ".mkfile"]),
    (L::Nim, &[".nimble", ".nims"]),
    (L::Pascal, &[".pascal", ".dpr", ".lpr"]),
    (L::Perl, &[".psgi", ".perl", ".plx"]),
    (L::Php, &[".phtml", ".phpt", ".php3", ".php4", ".php5", ".ctp"]),
    (L::PostCss, &[".postcss"]),
    (L::Python, &[".py3", ".wsgi", ".gyp", ".gypi", ".tac", ".xpy"]),
    (
        L::Ruby,
        &[
            ".builder",
            ".gemspec",
            ".jbuilder",
            ".mspec",
            ".podspec",
            ".prawn",
            ".rabl",
            ".rbi",
            ".rbw",
            ".ru",
            ".ruby",
            ".thor",
        ],
    ),
    (L::Scala, &[".sbt"]),
    (L::Sql, &[".pgsql", ".plsql", ".pkb", ".pks", ".hql", ".cql"]),
    (L::Zsh, &[".zsh-theme"]),
];
