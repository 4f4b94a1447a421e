// The machines as the server has them, in the order of its frames.

export async function readSpec(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address}: status ${answer.status}`);
  const { machines } = await answer.json();
  return Object.entries(machines).map(([name, machine]) => ({
    name,
    means: machine.means,
    states: Object.values(machine.states).map((state) => ({
      ...state,
      final: machine.final.includes(state.name),
    })),
    arrows: machine.arrows.map((arrow) => ({
      id: arrow.id,
      from: arrow.source,
      to: arrow.target,
      on: arrow.event,
      guard: arrow.when ?? (arrow.unless ? `not ${arrow.unless}` : null),
      why: arrow.why,
    })),
  }));
}
