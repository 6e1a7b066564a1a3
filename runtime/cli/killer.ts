/** Entry of the child of end-by-force.ts: `killer PID DELAY_MS`. The channel closes when its parent ends, and so does it. */
const [pid, delayMs] = process.argv.slice(2).map(Number)

process.once('disconnect', () => process.exit())
setTimeout(() => process.kill(pid!, 'SIGKILL'), delayMs)
