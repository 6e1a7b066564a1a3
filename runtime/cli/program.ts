/**
 * The command line: every command with its arguments and options, as `--help` shows them. Only what is needed to read
 * the arguments is imported here; a command's own file is imported when it runs, so that help and short commands start
 * fast.
 *
 * The options of the program itself (`--socket`, `--config`, `--data-dir`, `--json`) may stand before or after the
 * command.
 */
import { Argument, Command, Option } from 'commander'
import { jobErrorCodes } from '../core/errors.ts'
import { jobEventTypes } from '../core/events.ts'
import { instantToMs } from '../core/instant.ts'
import { jobStates } from '../core/lifecycle.ts'
import {
  attemptsMax,
  documentPageMax,
  keyConcurrencyMax,
  listPageMax,
  priorityMax,
  priorityMin
} from '../core/limits.ts'
import { packageVersion } from '../core/version.ts'
import {
  collect,
  collectPair,
  integerBetween,
  parseDuration,
  parseExpiry,
  parseInstant,
  parsePast
} from './argument-values.ts'
import { type ClientSession, withSupervisor } from './client-session.ts'
import type { MoveOptions } from './commands/move.ts'
import type { SchedulerAction } from './commands/scheduler.ts'
import type { ServeOptions } from './commands/serve.ts'
import type { VerifyOptions } from './commands/verify.ts'
import { type ExitCode, exitCodes } from './exit-code.ts'
import type { GlobalOptions } from './global-options.ts'
import { Output, type Streams } from './output.ts'

const cronTimesMax = 1_000

const afterHelp = `
Every command but serve, check, verify and cron talks to a running supervisor. Its socket is --socket, else $RUNTIME_SOCKET, else what
the configuration says: --config, else $RUNTIME_CONFIG, else config/runtime.yaml or config/runtime.json in this folder.
$RUNTIME_DATA_DIR names the data directory. Durations are seconds, or a text with a unit: 250ms, 30s, 5m, 2h, 3d.

With --json, standard output holds one JSON value and nothing else (events and exported documents: one a line), by default
the answer that PROTOCOL.md describes. Errors go to standard error, then as {"error":{"code","message","data"}}.

Exit codes: 0 done, 1 the thing asked for failed, 2 wrong usage or configuration, 3 no supervisor reachable,
4 timed out waiting.`

type Finish = (code: ExitCode) => void
type OutputOf = () => Output

/**
 * @param streams where help and answers go
 * @param finish receives the exit code of the command that ran; errors are thrown by `parseAsync` instead
 */
export function buildProgram(streams: Streams, finish: Finish): Command {
  const program = new Command('runtime')
    .description('Durable background jobs and scheduled events on one machine.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .option('--socket <path>', 'Unix socket of the supervisor')
    .option('--config <file>', 'configuration file')
    .option('--data-dir <folder>', 'folder of the store')
    .option('--json', 'print JSON for programs')
    .addHelpText('after', afterHelp)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void streams.stdout.write(text),
      writeErr: (text) => void streams.stderr.write(text),
      outputError: () => {}
    })
    .exitOverride()
  const outputOf = () => new Output(program.opts<GlobalOptions>().json === true, streams)
  addLocalCommands(program, outputOf, finish)
  const client = clientOf(program, outputOf, finish)
  addEnqueue(program, client)
  addJobCommands(program, client)
  addDocumentCommands(program, client)
  addQueueCommands(program, client)
  addScheduleCommands(program, client)
  addSupervisorCommands(program, client)
  return program
}

function addLocalCommands(program: Command, outputOf: OutputOf, finish: Finish): void {
  program
    .command('serve')
    .description('run the supervisor in the foreground until SIGTERM, SIGINT or "runtime stop"')
    .option('--actors <folder>', 'folder of actor modules')
    .option('--skip-invalid-events', 'start although scheduler events cannot fire; the others do')
    .addOption(
      new Option('--log-level <level>', 'what to log to standard error, as JSON lines')
        .choices(['error', 'warn', 'info', 'debug', 'silent'])
        .default('info')
    )
    .option('--watch', 'reload the actors when their files change')
    .action(async (options: ServeOptions) => {
      const { startRuntime, startScanChild } = await import('../embed/start-runtime.ts')
      const scanChild = startScanChild()
      try {
        const { serve } = await import('./commands/serve.ts')
        const start: typeof startRuntime = (config, rest) => startRuntime(config, { ...rest, scanChild })
        finish(await serve(program.opts(), outputOf(), options, start))
      } finally {
        scanChild.stop()
      }
    })
  program
    .command('check')
    .description('list every problem of configuration and actors, without starting')
    .option('--actors <folder>', 'folder of actor modules')
    .action(async (options: { actors?: string }) => {
      const { check } = await import('./commands/check.ts')
      finish(await check(program.opts(), outputOf(), options))
    })
  program
    .command('verify [directory]')
    .description('read a whole data directory (default: the configured one); exit code 1 when something is damaged')
    .option(
      '--repair',
      'set aside what is damaged, and put right what follows from other records; no supervisor may run'
    )
    .option('--discard', 'as --repair; then forget what was set aside')
    .action(async (directory: string | undefined, options: VerifyOptions) => {
      const { verify } = await import('./commands/verify.ts')
      finish(await verify(program.opts(), outputOf(), directory, options))
    })
  program
    .command('cron <expression>')
    .description('print the next times a cron expression or label fires')
    .option('--timezone <zone>', 'IANA name of the zone of the expression', 'UTC')
    .option('--after <time>', 'the times after this instant (default: now)', parseInstant)
    .option('--count <number>', 'how many times', integerBetween(1, cronTimesMax), 5)
    .action(async (expression: string, options: { timezone: string; after?: string | number; count: number }) => {
      const { cron } = await import('./commands/cron.ts')
      const { timezone, after, count } = options
      cron(outputOf(), expression, { timezone, afterMs: instantToMs(after) ?? Date.now(), count })
      finish(exitCodes.done)
    })
}

/** The action of a command that talks to the supervisor. A command that returns nothing has done what was asked. */
type Client = <Args extends unknown[]>(
  command: (session: ClientSession, ...args: Args) => Promise<ExitCode> | Promise<void>
) => (...args: Args) => Promise<void>

function clientOf(program: Command, outputOf: OutputOf, finish: Finish): Client {
  return (command) =>
    async (...args) => {
      const code = await withSupervisor(program.opts(), outputOf(), async (session) => command(session, ...args))
      finish(code ?? exitCodes.done)
    }
}

function addEnqueue(program: Command, client: Client): void {
  withJobOptions(
    program
      .command('enqueue')
      .description('enqueue a job and print its id once it is on disk')
      .argument('<method>', 'dotted path of the method, such as reports.daily.run')
      .option('--key <key>', 'jobs of one key belong together; keys take turns')
      .option(
        '--key-concurrency <number>',
        'with --key: most jobs of the key that run at a time; 1: strictly in order',
        integerBetween(1, keyConcurrencyMax)
      )
  ).action(
    client(async (session, method: string, flags: object) =>
      (await import('./commands/enqueue.ts')).enqueue(session, method, flags)
    )
  )
  withJobOptions(
    program
      .command('enqueue-doc')
      .description('enqueue a call of a method of a document; the first makes the document')
      .argument('<type>', 'dotted path of the class, such as billing.Invoice')
      .argument('<name>', 'name of the document')
      .argument('<method>', 'name of a method of the class')
  ).action(
    client(async (session, type: string, name: string, method: string, flags: object) =>
      (await import('./commands/enqueue-doc.ts')).enqueueDoc(session, { type, name, method }, flags)
    )
  )
}

/** The options that `cli/commands/enqueue.ts` reads, but those of keys. */
function withJobOptions(command: Command): Command {
  return command
    .option('--params <json>', 'parameters as a JSON object; - reads standard input')
    .option('-p, --param <key=value>', 'one parameter over --params, JSON or else text; repeatable', collectPair)
    .option('--queue <name>', 'queue (default: "default")')
    .option('--timeout <duration>', "time one attempt may take (default: the queue's)", parseDuration)
    .option('--delay <duration>', 'not before this much time has passed', parseDuration)
    .addOption(
      new Option('--at <time>', 'not before this instant, such as 2026-01-31T18:15:00Z')
        .argParser(parseInstant)
        .conflicts('delay')
    )
    .option('--priority <number>', 'a larger one runs first', integerBetween(priorityMin, priorityMax))
    .option('--at-front', 'before everything waiting in the queue')
    .option('--job-name <name>', 'label to search by')
    .option('--job-id <id>', 'id to give to the job; refused when in use')
    .option('--deduplicate', 'with --job-id: take the unfinished job of that id if there is one')
    .addOption(
      new Option('--throttle <duration>', 'with --job-id: at most one job of that id within this time')
        .argParser(parseDuration)
        .conflicts(['deduplicate', 'debounce', 'keepLast'])
    )
    .addOption(
      new Option('--debounce <duration>', 'with --job-id: replace the waiting job of that id, and wait this long again')
        .argParser(parseDuration)
        .conflicts(['deduplicate', 'keepLast'])
    )
    .addOption(
      new Option(
        '--keep-last',
        'with --job-id: while that job runs, keep one successor, with the newest params'
      ).conflicts('deduplicate')
    )
    .option('--attempts <number>', 'how often it may be tried', integerBetween(1, attemptsMax))
    .option('--backoff <json>', 'waits between attempts, such as {"type":"exponential","delay":"1s"}')
    .option('--retry-on <error>', 'try again only after errors of this code or name; repeatable', collect)
    .option('--never-retry <error>', 'do not try again after errors of this code or name; repeatable', collect)
    .option('--depends-on <ids...>', 'not before these jobs have finished')
    .addOption(
      new Option(
        '--on-parent-failure <rule>',
        'what happens when one of those is failed or cancelled (default: fail)'
      ).choices(['fail', 'cancel', 'release'])
    )
    .option('--on-success <method>', 'method to enqueue when it is completed')
    .option('--on-failure <method>', 'method to enqueue when it is failed for good')
    .option('--expires <time>', 'cancel it unless it has started by then: 5m from now, or an instant', parseExpiry)
    .option('--result-ttl <duration>', 'how long it is kept once completed; 0: not at all', parseDuration)
    .option('--now', 'run it before everything waiting, and print its result')
    .option('--wait', 'follow its progress and print its result; exit code 1 when it fails')
    .addOption(
      new Option('--wait-timeout <duration>', '--wait, at most this long; then exit code 4, and the job goes on')
        .argParser(parseDuration)
        .implies({ wait: true })
        .conflicts('now')
    )
}

function stateOption(description: string): Option {
  return new Option('--state <state>', description).choices(jobStates)
}

/** The options that `cli/selection.ts` reads. */
function withSelection(command: Command): Command {
  return command
    .option('--queue <name>', 'only jobs of this queue')
    .addOption(stateOption('only jobs in this state'))
    .option('--method <path>', 'only jobs of this method')
    .option('--name <name>', 'only jobs with this --job-name')
    .option('--key <key>', 'only jobs of this key')
    .addOption(
      new Option('--error-code <code>', 'only jobs whose error has this code').choices(Object.keys(jobErrorCodes))
    )
    .option('--since <time>', 'only jobs finished, else enqueued, at this instant or later; 2h: so long ago', parsePast)
    .option('--until <time>', 'only jobs finished, else enqueued, before this instant; 2h: so long ago', parsePast)
    .option('--text <text>', 'only jobs whose params, as JSON, hold this text')
}

function addJobCommands(program: Command, client: Client): void {
  program
    .command('job <id>')
    .description('show a job')
    .action(client(async (session, id: string) => (await import('./commands/job.ts')).job(session, id)))
  withSelection(program.command('jobs').description('list jobs, newest first'))
    .option('--limit <number>', 'most jobs to list', integerBetween(1, listPageMax))
    .option('--cursor <cursor>', 'the page after the one that named this cursor')
    .action(client(async (session, options: object) => (await import('./commands/jobs.ts')).jobs(session, options)))
  withSelection(
    program
      .command('cancel [id]')
      .description('cancel a job in whatever state, a running one is killed; or many, by filters')
      .option('--all', 'every job that has not finished, of those the filters choose')
  ).action(
    client(async (session, id: string | undefined, options: object) =>
      (await import('./commands/cancel.ts')).cancel(session, id, options)
    )
  )
  withSelection(
    program
      .command('retry [ids...]')
      .description('start finished jobs again, or bring scheduled ones forward; one by one, or many by filters')
      .addOption(new Option('--failed', 'every failed job, of those the filters choose').conflicts('state'))
      .option('--params <json>', 'params in place of the old ones; - reads standard input')
  ).action(
    client(async (session, ids: string[], options: object) =>
      (await import('./commands/retry.ts')).retry(session, ids, options)
    )
  )
  withSelection(
    program.command('remove [id]').description('forget a job that does not run; or many, by --state and more filters')
  ).action(
    client(async (session, id: string | undefined, options: object) =>
      (await import('./commands/remove.ts')).remove(session, id, options)
    )
  )
  withSelection(
    program
      .command('move [ids...]')
      .description('move scheduled and ready jobs to another queue; one by one, or many by filters')
      .requiredOption('--to <queue>', 'queue to move them to')
  ).action(
    client(async (session, ids: string[], options: MoveOptions) =>
      (await import('./commands/move.ts')).move(session, ids, options)
    )
  )
  program
    .command('signal <id> <name> [json]')
    .description('send a signal to a job, what ctx.waitFor waits for; json is its payload, - reads standard input')
    .action(
      client(async (session, id: string, name: string, json: string | undefined) =>
        (await import('./commands/signal.ts')).signal(session, id, name, json)
      )
    )
  program
    .command('pending')
    .description('show what waits and runs, for each queue and method')
    .option('--queue <name>', 'only of this queue')
    .action(
      client(async (session, options: object) => (await import('./commands/pending.ts')).pending(session, options))
    )
}

function addDocumentCommands(program: Command, client: Client): void {
  const doc = program.command('doc').description('show, list, remove or export documents')
  doc
    .command('get <type> <name>')
    .description('show a document with its state and reminders')
    .action(
      client(async (session, type: string, name: string) =>
        (await import('./commands/doc.ts')).getDocument(session, { type, name })
      )
    )
  doc
    .command('list <type>')
    .description('list the documents of a type, by name')
    .option('--limit <number>', 'most documents to list', integerBetween(1, documentPageMax))
    .option('--cursor <cursor>', 'the page after the one that named this cursor')
    .action(
      client(async (session, type: string, options: object) =>
        (await import('./commands/doc.ts')).listDocuments(session, type, options)
      )
    )
  doc
    .command('remove <type> <name>')
    .description('remove a document with its reminders; its next job makes a new one')
    .action(
      client(async (session, type: string, name: string) =>
        (await import('./commands/doc.ts')).removeDocument(session, { type, name })
      )
    )
  doc
    .command('export [type]')
    .description('print every document, of one type or of all, as JSON, one a line')
    .option('--output <file>', 'write them into this file instead')
    .action(
      client(async (session, type: string | undefined, options: object) =>
        (await import('./commands/doc-export.ts')).exportDocuments(session, type, options)
      )
    )
  doc
    .command('cancel-reminder <type> <name> <reminder>')
    .description('take a call back that a document has asked for')
    .action(
      client(async (session, type: string, name: string, reminder: string) =>
        (await import('./commands/doc.ts')).cancelReminder(session, { type, name }, reminder)
      )
    )
  const outbox = program.command('outbox').description('what programs have prepared and not decided')
  outbox
    .command('list')
    .description('show it, oldest first')
    .option('--outbox <name>', 'only of this outbox')
    .action(
      client(async (session, options: object) => (await import('./commands/outbox.ts')).listPrepared(session, options))
    )
  outbox
    .command('commit <id>')
    .description('make it take effect')
    .action(client(async (session, id: string) => (await import('./commands/outbox.ts')).commitPrepared(session, id)))
  outbox
    .command('abort <id>')
    .description('forget it: nothing of it is done')
    .action(client(async (session, id: string) => (await import('./commands/outbox.ts')).abortPrepared(session, id)))
}

function addQueueCommands(program: Command, client: Client): void {
  program
    .command('queues')
    .description('show the queues with their jobs per state')
    .action(client(async (session) => (await import('./commands/queues.ts')).queues(session)))
  program
    .command('pause <queue>')
    .description('start no further job of a queue until resume')
    .option('--until <time>', 'end the pause then: 2h from now, or an instant', parseExpiry)
    .action(
      client(async (session, queue: string, options: object) =>
        (await import('./commands/pause.ts')).pause(session, queue, options)
      )
    )
  program
    .command('resume <queue>')
    .description('start jobs of a paused queue again')
    .action(client(async (session, queue: string) => (await import('./commands/resume.ts')).resume(session, queue)))
  program
    .command('drain <queue>')
    .description('wait until no job of a queue is ready or running')
    .option('--timeout <duration>', 'at most this long; then exit code 4', parseDuration)
    .action(
      client(async (session, queue: string, options: object) =>
        (await import('./commands/drain.ts')).drain(session, queue, options)
      )
    )
  program
    .command('purge <queue>')
    .description('remove the scheduled and ready jobs of a queue')
    .addOption(stateOption('remove the jobs in this state instead'))
    .action(
      client(async (session, queue: string, options: object) =>
        (await import('./commands/purge.ts')).purge(session, queue, options)
      )
    )
}

function addScheduleCommands(program: Command, client: Client): void {
  program
    .command('schedule')
    .description('show the scheduler events with their next and last runs')
    .action(client(async (session) => (await import('./commands/schedule.ts')).schedule(session)))
  program
    .command('trigger <event>')
    .description('run scheduler events now: by id, key such as "daily", or method')
    .action(client(async (session, event: string) => (await import('./commands/trigger.ts')).trigger(session, event)))
  program
    .command('migrate')
    .description('apply the scheduler events that the configuration file holds now')
    .option('--dry-run', 'only tell what would change')
    .action(
      client(async (session, options: object) => (await import('./commands/migrate.ts')).migrate(session, options))
    )
  program
    .command('scheduler')
    .description('pause or resume the scheduler or one event, leave out the next run of an event, show the events')
    .addArgument(new Argument('<action>').choices(['pause', 'resume', 'skip', 'status']))
    .argument('[event]', 'id, key or method of events (default: the whole scheduler)')
    .action(
      client(async (session, action: SchedulerAction, event: string | undefined) =>
        (await import('./commands/scheduler.ts')).scheduler(session, action, event)
      )
    )
  program
    .command('maintenance')
    .description('on: no events fire and no jobs start, enqueueing goes on')
    .addArgument(new Argument('<position>').choices(['on', 'off']))
    .action(
      client(async (session, position: 'on' | 'off') =>
        (await import('./commands/maintenance.ts')).maintenance(session, position)
      )
    )
}

function addSupervisorCommands(program: Command, client: Client): void {
  program
    .command('events')
    .description('print what happens to jobs, as it happens, until interrupted')
    .option('--follow', 'accepted for clarity: events are always followed')
    .option('--queue <name>', 'only of this queue')
    .option('--job <id>', 'only of this job')
    .option('--method <method>', 'only of jobs of this method')
    .addOption(new Option('--type <types...>', 'only of these types').choices(jobEventTypes))
    .option('--since <cursor>', 'first what has happened since an earlier `events` ended, which printed the cursor')
    .action(client(async (session, options: object) => (await import('./commands/events.ts')).events(session, options)))
  program
    .command('status')
    .description('show the supervisor and its queues')
    .action(client(async (session) => (await import('./commands/status.ts')).status(session)))
  program
    .command('reload')
    .description('have jobs from now on run the code that actor files hold now; what runs goes on with the old')
    .action(client(async (session) => (await import('./commands/reload.ts')).reload(session)))
  program
    .command('doctor')
    .description('tell what is wrong, and what to do about it; exit code 1 when something is a problem')
    .action(client(async (session) => (await import('./commands/doctor.ts')).doctor(session)))
  program
    .command('backup <directory>')
    .description('copy the store while jobs go on, synced and verified; the copy is a data directory')
    .action(
      client(async (session, directory: string) => (await import('./commands/backup.ts')).backup(session, directory))
    )
  program
    .command('ready-for-migration')
    .description('exit code 1 while jobs are ready or running')
    .action(client(async (session) => (await import('./commands/ready-for-migration.ts')).readyForMigration(session)))
  program
    .command('stop')
    .description('stop the supervisor gracefully and wait until it has')
    .option('--deadline <duration>', 'time for running jobs to finish (default: 30s)', parseDuration)
    .action(client(async (session, options: object) => (await import('./commands/stop.ts')).stop(session, options)))
  program
    .command('call <method> [json]')
    .description('call any method of PROTOCOL.md and print its result; json - reads standard input')
    .action(
      client(async (session, method: string, json: string | undefined) =>
        (await import('./commands/call.ts')).call(session, method, json)
      )
    )
}
