/**
 * The words that a shell script calls as commands, in the order of their first use: programs, builtins and the script's own
 * functions, of which the names are left out. It reads the subset of POSIX shell in which our scripts are written; it takes a
 * word too many rather than one too few.
 * @throws Error for what it cannot read: here-documents, and a command whose name is a variable
 */
export function calledWords(script: string): string[] {
  const reader = new Reader(script)
  reader.read()
  return [...reader.called].filter((word) => !reader.functions.has(word))
}

/** After these words comes a command; after the others, what they say. */
const BEFORE_COMMAND = new Set(['if', 'then', 'elif', 'else', 'while', 'until', 'do', '!', '{', '(', 'exec'])
const NO_COMMAND = new Set(['fi', 'done', 'esac', '}'])
const SEPARATORS = /^(?:;;|;|&&|\|\||\||&|\n|\(|\))/
const REDIRECTION = /^\d*(?:>>|>&|<&|<>|>|<)/

class Reader {
  readonly called = new Set<string>()
  readonly functions = new Set<string>()
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text.replaceAll('\\\n', '')
  }

  /** Reads commands up to the end, or to the parenthesis that closes a substitution. */
  read(inSubstitution = false): void {
    let expects: 'command' | 'argument' | 'pattern' = 'command'
    let depth = 0
    const cases: number[] = []
    while (this.#at < this.#text.length) {
      const rest = this.#text.slice(this.#at)
      const blank = /^(?:[ \t]+|#[^\n]*)/.exec(rest)
      if (blank) {
        this.#at += blank[0].length
        continue
      }
      const separator = SEPARATORS.exec(rest)?.[0]
      if (separator !== undefined) {
        this.#at += separator.length
        if (expects === 'pattern') {
          if (separator === ')') expects = 'command'
          continue
        }
        if (separator === '(') depth++
        if (separator === ')' && depth-- === 0 && inSubstitution) return
        expects = separator === ';;' ? 'pattern' : 'command'
        continue
      }
      const redirection = REDIRECTION.exec(rest)?.[0]
      if (redirection !== undefined) {
        if (rest.startsWith('<<')) throw new Error('a here-document cannot be read')
        this.#at += redirection.length
        this.#skipBlanks()
        this.#word()
        continue
      }
      const word = this.#word()
      if (expects === 'pattern') {
        if (word === 'esac') {
          cases.pop()
          expects = 'argument'
        }
        continue
      }
      if (word === 'in' && cases.at(-1) === depth && expects === 'argument') {
        cases[cases.length - 1] = -1
        expects = 'pattern'
        continue
      }
      if (expects === 'argument') continue
      if (this.#text.slice(this.#at).startsWith('()')) {
        this.functions.add(word)
        this.#at += 2
      } else if (word === 'case') {
        cases.push(depth)
        expects = 'argument'
      } else if (word === 'for') {
        expects = 'argument'
      } else if (NO_COMMAND.has(word)) {
        expects = 'argument'
      } else if (!BEFORE_COMMAND.has(word) && !/^\w+=/.test(word)) {
        if (/[$`]/.test(word)) throw new Error(`the command ${word} cannot be read: its name is a variable`)
        this.called.add(word)
        expects = 'argument'
      }
    }
  }

  #skipBlanks(): void {
    while (/[ \t]/.test(this.#text[this.#at] ?? '')) this.#at++
  }

  /** Reads a word with its quotes; the commands of a substitution in it are called as well. */
  #word(): string {
    const start = this.#at
    let quoted = false
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at] ?? ''
      if (char === '\\') this.#at += 2
      else if (char === "'" && !quoted) this.#at = this.#end(this.#text.indexOf("'", this.#at + 1)) + 1
      else if (this.#text.startsWith('$((', this.#at))
        this.#at = this.#end(this.#text.indexOf('))', this.#at)) + 2
      else if (this.#text.startsWith('$(', this.#at)) {
        this.#at += 2
        this.read(true)
      } else if (this.#text.startsWith('${', this.#at)) this.#skipExpansion()
      else if (char === '"') {
        quoted = !quoted
        this.#at++
      } else if (!quoted && /[\s;&|()<>]/.test(char)) break
      else this.#at++
    }
    return this.#text.slice(start, this.#at).replace(/^"(.*)"$/, '$1')
  }

  #skipExpansion(): void {
    let depth = 0
    do {
      if (this.#text.startsWith('$(', this.#at)) {
        this.#at += 2
        this.read(true)
        continue
      }
      if (this.#text[this.#at] === '{') depth++
      if (this.#text[this.#at] === '}') depth--
      this.#at++
    } while (this.#at < this.#text.length && (depth > 0 || this.#text[this.#at - 1] === '$'))
  }

  #end(index: number): number {
    if (index < 0) throw new Error('a quote or an expression does not end')
    return index
  }
}
