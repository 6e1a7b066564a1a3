/**
 * The methods that can be run: functions that the modules below the actors folders export, and methods of the document types
 * that they export. Found once at the start and then completed on demand. A method that is not known is looked for again: its file may be new, or may have been mended. A
 * module that was loaded stays as it is until `reload`, since threads hold it too.
 */
import { relative, resolve } from 'node:path'
import type { ScannedExport } from '../actor/messages.ts'
import type { MethodView } from '../core/api.ts'
import type { CatalogueProblem, MethodCatalogue } from '../core/catalogue.ts'
import { didYouMean } from '../core/did-you-mean.ts'
import { type DocumentType, splitMethodPath } from '../core/document.ts'
import { RuntimeError } from '../core/errors.ts'
import { methodPathCharsMax } from '../core/limits.ts'
import { isMethodPath, isPathSegment } from '../core/method-path.ts'
import { shortened } from '../core/preview.ts'
import { findModule, findModules, type ModuleFile } from './module-files.ts'
import { type ScanChild, type ScannedModule, scanModules } from './module-scan.ts'

export interface CatalogueOptions {
  /** Longest time that importing one module may take. Default 10 s. */
  moduleMsMax?: number
  /** Aborted: as {@link Catalogue.stop}, also before the catalogue is there. */
  abort?: AbortController
  /** Default: one is started. It is not stopped here where there is nothing to scan. */
  child?: ScanChild | undefined
}

export interface Catalogue extends MethodCatalogue {
  /** Ends a scan that is under way; what is not known then stays unknown. Safe to call twice. */
  stop(): void
  /**
   * Scans everything afresh; what is known changes only if all of it can be loaded.
   *
   * @throws RuntimeError `ACTORS_INVALID` with `data.problems`: a module does not load; everything stays as it was
   */
  reload(): Promise<void>
}

/**
 * Scans the folders. Modules that cannot be used do not stop it: see {@link MethodCatalogue.problems}.
 *
 * @param folders of actor modules; the first has precedence
 */
export async function startCatalogue(folders: readonly string[], options: CatalogueOptions = {}): Promise<Catalogue> {
  const catalogue = new ScannedCatalogue(folders, options)
  await catalogue.start()
  return catalogue
}

class ScannedCatalogue implements Catalogue {
  readonly #folders: readonly string[]
  readonly #moduleMsMax: number
  readonly #abort: AbortController
  readonly #child: ScanChild | undefined
  #methods = new Map<string, MethodView>()
  #documentTypes = new Map<string, DocumentType>()
  /** By method or class: why one that a module has is not used. */
  #conflicts = new Map<string, CatalogueProblem>()
  #modules = new Map<string, ModuleFile & { scanned: ScannedModule }>()
  /** Scans that are under way, by module path. */
  readonly #scans = new Map<string, Promise<void>>()
  /** One child process at a time, however many new files are asked for. */
  #lastScan: Promise<unknown> = Promise.resolve()
  /** One after the other, so that the last one asked for is the one that counts. */
  #lastReload: Promise<void> = Promise.resolve()
  #folderProblems: readonly CatalogueProblem[] = []

  constructor(
    folders: readonly string[],
    { moduleMsMax = 10_000, abort = new AbortController(), child }: CatalogueOptions
  ) {
    this.#abort = abort
    this.#child = child
    this.#folders = folders.map((folder) => resolve(folder))
    this.#moduleMsMax = moduleMsMax
  }

  async start(): Promise<void> {
    const { modules, problems } = await findModules(this.#folders)
    this.#folderProblems = problems
    await this.#scan([...modules.values()])
  }

  reload(): Promise<void> {
    const reloaded = this.#lastReload.then(() => this.#reload())
    this.#lastReload = reloaded.catch(() => {})
    return reloaded
  }

  async #reload(): Promise<void> {
    const fresh = new ScannedCatalogue(this.#folders, { moduleMsMax: this.#moduleMsMax, abort: this.#abort })
    await fresh.start()
    if (this.#abort.signal.aborted) return
    const failures = fresh.#failures
    if (failures.length > 0) throw cannotReload(failures)
    this.#methods = fresh.#methods
    this.#documentTypes = fresh.#documentTypes
    this.#conflicts = fresh.#conflicts
    this.#modules = fresh.#modules
    this.#folderProblems = fresh.#folderProblems
  }

  stop(): void {
    this.#abort.abort()
  }

  known(method: string): MethodView | undefined {
    return this.#methods.get(method)
  }

  async resolve(method: string): Promise<MethodView> {
    const known = this.known(method)
    if (known !== undefined) return known
    if (!isMethodPath(method)) {
      throw new RuntimeError('METHOD_UNKNOWN', this.#badForm(method), { method: shortened(method, methodPathCharsMax) })
    }
    const { type: path, method: name } = splitMethodPath(method)
    // The file of a document type has the path of the class without its last segment.
    const { type: parent } = splitMethodPath(path)
    await Promise.all([this.#lookAgain(path), path.includes('.') ? this.#lookAgain(parent) : undefined])
    const found = this.known(method)
    if (found !== undefined) return found
    throw new RuntimeError('METHOD_UNKNOWN', `Cannot use method "${method}": ${this.#whyUnknown(path, name)}`, {
      method
    })
  }

  documentType(type: string): DocumentType | undefined {
    return this.#documentTypes.get(type)
  }

  list(): MethodView[] {
    return [...this.#methods.values()].sort((a, b) => (a.method < b.method ? -1 : 1))
  }

  get problems(): readonly CatalogueProblem[] {
    return [...this.#folderProblems, ...this.#failures, ...this.#conflicts.values()]
  }

  get #failures(): CatalogueProblem[] {
    return [...this.#modules.values()].flatMap(({ file, scanned }) =>
      'failure' in scanned ? [{ file, message: `Cannot load ${shortPath(file)}: ${scanned.failure}` }] : []
    )
  }

  #lookAgain(path: string): Promise<void> {
    const shared = this.#scans.get(path)
    if (shared !== undefined) return shared
    const scan = this.#scanIfChanged(path).finally(() => this.#scans.delete(path))
    this.#scans.set(path, scan)
    return scan
  }

  async #scanIfChanged(path: string): Promise<void> {
    const before = this.#modules.get(path)
    if (before !== undefined && 'exports' in before.scanned) return
    const now = await findModule(this.#folders, path)
    const isSame = before !== undefined && before.file === now?.file && before.version === now.version
    if (now !== undefined && !isSame) await this.#scan([now])
  }

  async #scan(modules: readonly ModuleFile[]): Promise<void> {
    const options = { moduleMsMax: this.#moduleMsMax, signal: this.#abort.signal, child: this.#child }
    const files = modules.map(({ file }) => file)
    const scan = this.#lastScan.then(() => scanModules(files, options))
    this.#lastScan = scan.catch(() => {})
    const results = await scan
    if (this.#abort.signal.aborted) return
    for (const module of modules) this.#learn(module, results.get(module.file))
  }

  #learn(module: ModuleFile, scanned: ScannedModule | undefined): void {
    if (scanned === undefined) return
    this.#modules.set(module.path, { ...module, scanned })
    if ('failure' in scanned) return
    const { file } = module
    for (const { name, functionName, sourceHash, document } of scanned.exports.filter(isUsable)) {
      const path = `${module.path}.${name}`
      if (document === undefined) {
        this.#add({ method: path, file, functionName, sourceHash, documentType: null })
        continue
      }
      if (path.length > methodPathCharsMax) {
        const message = `Class "${name}" of ${file} is not used: its path is longer than ${methodPathCharsMax} characters`
        this.#conflicts.set(path, { file, message })
        continue
      }
      this.#documentTypes.set(path, { type: path, file, ...document })
      for (const method of document.methods) {
        this.#add({ method: `${path}.${method}`, file, functionName, sourceHash, documentType: path })
      }
    }
  }

  /** `a.B.run` can be the function `run` of `a/B.js` and the method `run` of the class `B` of `a.js`: the first one is it. */
  #add(view: MethodView): void {
    const { method, file } = view
    const first = this.#methods.get(method)
    if (first === undefined || first.file === file) this.#methods.set(method, view)
    else {
      const message = `Method "${method}" of ${file} is not used: ${first.file} has one of the same path; rename one of them`
      this.#conflicts.set(method, { file, message })
    }
  }

  #badForm(method: string): string {
    const grammar = 'a method path is two or more segments with dots between them, such as "reports.daily.run"'
    const segment = 'each a letter, "_" or "$", then letters, digits, "_", "$" and "-"'
    const shown = JSON.stringify(shortened(method, 100))
    return `Cannot use method ${shown}: ${grammar}, ${segment}.${this.#hint(method.slice(0, 100))}`
  }

  #whyUnknown(path: string, name: string): string {
    const type = this.#documentTypes.get(path)
    if (type !== undefined) return whyNoMethodOf(type, name)
    const module = this.#modules.get(path)
    if (module === undefined) {
      const file = `${path.replaceAll('.', '/')}.js`
      const where = this.#folders.map(shortPath).join(' or ')
      return `there is no file ${file} below ${where}${this.#whyNoType(path)}.${this.#hint(`${path}.${name}`)}`
    }
    const file = shortPath(module.file)
    if ('failure' in module.scanned) return `${file} cannot be loaded: ${module.scanned.failure}`
    const { exports } = module.scanned
    const other = exports.find((entry) => entry.name === name)
    if (other?.document !== undefined) {
      return `it is a document type; a job calls one of its methods (${listed(other.document.methods)}) of a document, as enqueueDoc has it.`
    }
    if (other !== undefined) return `what ${file} exports as "${name}" is no function (${other.kind}).`
    const names = exports.filter(isUsable).map((entry) => entry.name)
    const hint = didYouMean(name, names).replace(/"(.+)"/, `"${path}.$1"`)
    const exported = names.length === 0 ? 'no function' : listed(names)
    return `${file} does not export "${name}"; it exports ${exported}. A change of the file counts after "runtime reload".${hint}`
  }

  /** The last segment of the path may have been meant as a class. */
  #whyNoType(path: string): string {
    if (!path.includes('.')) return ''
    const { type: parent, method: name } = splitMethodPath(path)
    const module = this.#modules.get(parent)
    if (module === undefined) return ''
    const file = shortPath(module.file)
    if ('failure' in module.scanned) return `, and ${file} cannot be loaded: ${module.scanned.failure}`
    return `, and ${file} exports no class "${name}" that extends Actor`
  }

  #hint(method: string): string {
    return didYouMean(method, this.#methods.keys())
  }
}

function cannotReload(problems: readonly CatalogueProblem[]): RuntimeError {
  const list = problems.map(({ message }) => `\n  ${message}`).join('')
  return new RuntimeError('ACTORS_INVALID', `Cannot reload the actors; the old code goes on.${list}`, { problems })
}

function whyNoMethodOf({ type, file, methods }: DocumentType, name: string): string {
  const hint = didYouMean(name, methods).replace(/"(.+)"/, `"${type}.$1"`)
  const has = methods.length === 0 ? 'no method that can be called' : listed(methods)
  return `the document type "${type}" of ${shortPath(file)} has no method "${name}"; it has ${has}. A change of the file counts after "runtime reload".${hint}`
}

function listed(names: readonly string[]): string {
  return names.join(', ')
}

function isUsable({ kind, name }: ScannedExport): boolean {
  return (kind === 'function' || kind === 'document') && isPathSegment(name)
}

/** Relative where that is shorter to read. */
function shortPath(file: string): string {
  const short = relative(process.cwd(), file)
  return short.startsWith('..') || short === '' ? file : short
}
