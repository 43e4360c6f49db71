// What the npm clients say when a server asks. Without `answers` a client declares that it cannot be asked.

export const capabilities = (answers) => (answers ? { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} } : {});

// A user who never answers, or whose client dies under them.
async function linger(answer) {
  if (answer === 'die') process.exit(9);
  if (answer === 'hang') await new Promise((resolve) => setTimeout(resolve, 3600_000));
}

export const say = (answers) => ({
  async elicitation({ params }) {
    const action = answers.elicitation;
    await linger(action);
    const isForm = action === 'accept' && params.mode !== 'url';
    return isForm ? { action, content: { name: 'Ada', age: 36 } } : { action };
  },
  sampling() {
    if (answers.sampling === 'refuse') throw new Error('the user said no');
    return { role: 'assistant', content: { type: 'text', text: 'Something' }, model: 'none', stopReason: 'endTurn' };
  },
  roots() {
    return { roots: [{ uri: 'file:///home/ada', name: 'home' }] };
  },
});

// Calls every tool in turn. An error is an answer too.
export async function callAll(wanted, call) {
  const options = wanted.patience ? { timeout: wanted.patience * 1000 } : {};
  const results = {};
  for (const [name, given] of Object.entries(wanted.calls)) {
    results[name] = await call({ name, arguments: given }, options).catch((error) => ({ error: String(error) }));
  }
  return results;
}
