use super::*;
use proptest::prelude::*;

fn shown(tree: &Tree) -> String {
    (0..tree.len())
        .filter_map(|row| Some((row, tree.line(row, 40)?)))
        .map(|(row, l)| {
            let mark = if row == tree.cursor { ">" } else { " " };
            let fold = l.fold.map_or(' ', |open| if open { 'v' } else { '+' });
            let count = l.count.map(|n| format!(" [{n}]")).unwrap_or_default();
            format!("{mark}{}{fold} {}{count} {}\n", "  ".repeat(l.depth), l.name, l.value)
        })
        .collect()
}

const ANSWER: &str = r#"{"result":{"content":[{"type":"text","text":"EC000042 and a long tail of words that goes on"}],"isError":false}}"#;

#[test]
fn an_answer_is_open_at_first_and_folds() {
    let mut tree = Tree::new(ANSWER);
    insta::assert_snapshot!(shown(&tree), @r#"
    >v  [1] 
       v result [2] 
         v content [1] 
           v 0 [2] 
               type "text"
             + text "EC000042 and a long tail of words that ...
           isError false
    "#);
    tree.cursor = 5;
    assert_eq!(tree.path().unwrap(), ".result.content[0].text");
    tree.toggle(20);
    insta::assert_snapshot!(shown(&tree), @r#"
     v  [1] 
       v result [2] 
         v content [1] 
           v 0 [2] 
               type "text"
    >        v text "EC000042 and a long tail of words that ...
                  EC000042 and a long 
                  tail of words that g
                  oes on
           isError false
    "#);
    tree.leave();
    tree.leave();
    tree.leave();
    insta::assert_snapshot!(shown(&tree), @r"
     v  [1] 
       v result [2] 
         v content [1] 
    >      + 0 [2] 
           isError false
    ");
}

#[test]
fn a_long_list_comes_in_pages() {
    let text = format!("[{}]", (0..1_300).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    let mut tree = Tree::new(text);
    assert_eq!(tree.len(), 502);
    tree.cursor = 501;
    assert_eq!(tree.line(501, 40).unwrap().value, "800 more, enter shows them");
    tree.toggle(40);
    assert_eq!(tree.len(), 1002);
    assert!(tree.search("1299", true));
    assert_eq!((tree.len(), tree.cursor, tree.path().unwrap().as_str()), (1301, 1300, ".[1299]"));
}

#[test]
fn search_opens_what_hides_a_hit_and_goes_round() {
    let mut tree = Tree::new(r#"{"a":{"needle":1},"b":[{"c":"a Needle"}],"d":"none"}"#);
    tree.leave();
    assert_eq!(tree.len(), 1);
    let mut seen = Vec::new();
    for forward in [true, true, true, false] {
        assert!(tree.search("needle", forward));
        seen.push(tree.path().unwrap());
    }
    assert_eq!(seen, [".a.needle", ".b[0].c", ".a.needle", ".b[0].c"]);
    assert!(tree.search("Needle", true));
    assert_eq!(tree.path().unwrap(), ".b[0].c");
    assert!(!tree.search("nothing", true));
}

#[test]
fn what_is_no_json_says_where() {
    let tree = Tree::new("{\"a\": nope}");
    assert_eq!(tree.error.as_ref().unwrap().to_string(), "expected a value at line 1, column 7");
    assert_eq!(tree.len(), 0);
}

proptest! {
    #[test]
    fn keys_on_any_text_never_panic(text in "[\\[\\]{},:\"a0é\\\\n ]{0,30}|(\\[(\\{\"a\":\\[1,\"é{40}\"\\]\\},){0,3}0\\])", keys in proptest::collection::vec(0u8..8, 0..30)) {
        let mut tree = Tree::new(text);
        for key in keys {
            match key {
                0 => tree.step(1),
                1 => tree.step(-1),
                2 => tree.toggle(3),
                3 => tree.enter(9),
                4 => tree.leave(),
                5 => { tree.search("a", true); }
                6 => { tree.search("0", false); }
                _ => tree.step(7),
            }
            prop_assert!(tree.cursor < tree.len().max(1));
            for row in 0..tree.len() {
                prop_assert!(tree.line(row, 5).is_some());
            }
            let _ = (tree.value(), tree.path());
        }
    }
}
