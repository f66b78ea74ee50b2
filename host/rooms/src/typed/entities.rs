//! HTML's entities (HTML standard, section 13.2.5.72 and 13.5).

/// Reads what follows `&`: the character, and how long its name is.
pub(super) fn parse(text: &[u8]) -> Option<(u32, usize)> {
    if let Some(rest) = text.strip_prefix(b"#") {
        let (radix, rest, before) = match rest.first()? {
            b'x' | b'X' => (16, &rest[1..], 2),
            _ => (10, rest, 1),
        };
        let is_digit = |byte: &u8| char::from(*byte).is_digit(radix);
        let length = rest
            .iter()
            .take(8)
            .take_while(|byte| is_digit(byte))
            .count();
        let number = std::str::from_utf8(&rest[..length]).ok()?;
        let value = u32::from_str_radix(number, radix).ok()?;
        let semicolon = usize::from(rest.get(length) == Some(&b';'));
        return Some((value, before + length + semicolon));
    }
    let length = text.iter().take(8).position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(&text[..length]).ok()?;
    let latin1 = || LATIN1.split_whitespace().position(|known| known == name);
    let value = match ASCII.iter().find(|(known, _)| *known == name) {
        Some((_, char)) => u32::from(*char),
        None => u32::try_from(latin1()?).ok()? + 0xa0,
    };
    Some((value, length + 1))
}

/// Names of ASCII's characters.
const ASCII: [(&str, char); 38] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("AMP", '&'),
    ("LT", '<'),
    ("GT", '>'),
    ("QUOT", '"'),
    ("excl", '!'),
    ("num", '#'),
    ("dollar", '$'),
    ("percnt", '%'),
    ("lpar", '('),
    ("rpar", ')'),
    ("ast", '*'),
    ("plus", '+'),
    ("comma", ','),
    ("period", '.'),
    ("sol", '/'),
    ("colon", ':'),
    ("semi", ';'),
    ("equals", '='),
    ("quest", '?'),
    ("commat", '@'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("bsol", '\\'),
    ("rsqb", ']'),
    ("rbrack", ']'),
    ("Hat", '^'),
    ("lowbar", '_'),
    ("grave", '`'),
    ("lcub", '{'),
    ("verbar", '|'),
    ("vert", '|'),
    ("rcub", '}'),
    ("Tab", '\t'),
];

/// Names of Latin-1's characters from U+00A0 on, in their order.
const LATIN1: &str = "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr \
    deg plusmn sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest \
    Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml \
    ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig \
    agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml \
    eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml";
