//! What a pipeline sees afterwards.

use std::error::Error;

use cloudop_testbed::Output;

use crate::{
    cast::{CAST, End},
    scene::Scene,
    screen::Screen,
};

/// Shows the list, the gate at work and the reasons. Returns what was not as it should have been.
pub fn run(screen: &Screen, scene: &Scene) -> Result<Vec<String>, Box<dyn Error>> {
    screen.step("All are over")?;
    scene.kubectl(screen, "get cloudop")?;
    let mut surprises = Vec::new();
    for role in &CAST {
        match role.end {
            End::SucceedsOnceRetried => {
                screen.step("The gate of a pipeline: an operation that succeeded")?;
                surprises.extend(gate(screen, scene, role.name, 0)?);
            }
            End::Fails(_) => {
                screen.step("The same gate: an operation that failed, and why")?;
                surprises.extend(gate(screen, scene, role.name, 1)?);
                screen.step("Both in one, with the cause")?;
                let verdict = scene.try_kubectl(screen, &format!("cloudop wait {}", role.name))?;
                show_code(screen, &verdict)?;
                if verdict.code != Some(1) {
                    surprises.push(format!("kubectl cloudop wait {} gave {}", role.name, code(&verdict)));
                }
            }
            End::Succeeds => {}
        }
    }
    screen.step("What there is to read about one of them")?;
    describe(screen, scene, CAST[0].name)?;
    Ok(surprises)
}

fn gate(screen: &Screen, scene: &Scene, name: &str, expected: i32) -> Result<Option<String>, Box<dyn Error>> {
    let finished = scene.try_kubectl(screen, &format!("wait cloudop/{name} --for=condition=Finished --timeout=2h"))?;
    let verdict = scene.try_kubectl(screen, &format!("wait cloudop/{name} --for=condition=Succeeded --timeout=0s"))?;
    show_code(screen, &verdict)?;
    let is_so = finished.success() && verdict.code == Some(expected);
    Ok((!is_so).then(|| format!("the gate of {name} gave {} and {}", code(&finished), code(&verdict))))
}

fn code(output: &Output) -> String {
    output.code.map_or("a signal".to_owned(), |code| code.to_string())
}

fn show_code(screen: &Screen, output: &Output) -> std::io::Result<()> {
    screen.command("echo $?")?;
    screen.line(&code(output))
}

/// The conditions and Events of `kubectl describe`, without what stands around them.
fn describe(screen: &Screen, scene: &Scene, name: &str) -> Result<(), Box<dyn Error>> {
    screen.command(&scene.cluster.typed(&format!("describe cloudop {name}")))?;
    let text = scene.cluster.kubectl_ok(&["describe", "cloudop", name])?;
    screen.line(&excerpt(&text))?;
    Ok(())
}

/// The conditions, the Events, and `…` for what is left out.
fn excerpt(text: &str) -> String {
    let mut lines = Vec::new();
    let (mut is_condition, mut is_event) = (false, false);
    for line in text.lines() {
        is_event |= line.starts_with("Events:");
        // A member of the status stands two spaces deep, what belongs to it deeper.
        is_condition = line == "  Conditions:" || is_condition && line.starts_with("    ");
        if is_event || is_condition {
            lines.push(line);
        } else if lines.last() != Some(&"…") {
            lines.push("…");
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_excerpt_has_the_conditions_and_the_events() {
        let text = "Name: a\nSpec:\n  Suspend: false\nStatus:\n  Conditions:\n    Type:  Ready\n    Status:  True\n  \
                    Phase: Succeeded\n  Progress:\n    Total:  4\nEvents:\n  Type  Reason\n  ----  ------\n";
        let excerpt =
            "…\n  Conditions:\n    Type:  Ready\n    Status:  True\n…\nEvents:\n  Type  Reason\n  ----  ------";
        assert_eq!(super::excerpt(text), excerpt);
    }
}
