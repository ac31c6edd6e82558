import { data, Evaluator, Lexer, Parser } from '@actions/expressions'

export type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value }

function dataOf(value: Value): data.ExpressionData {
  if (value === null) return new data.Null()
  if (typeof value === 'string') return new data.StringData(value)
  if (typeof value === 'number') return new data.NumberData(value)
  if (typeof value === 'boolean') return new data.BooleanData(value)
  if (Array.isArray(value)) return new data.Array(...value.map(dataOf))
  return dictionaryOf(value as { readonly [key: string]: Value })
}

function dictionaryOf(value: { readonly [key: string]: Value }): data.Dictionary {
  return new data.Dictionary(...Object.entries(value).map(([key, at]) => ({ key, value: dataOf(at) })))
}

/** An expression as a workflow has it. */
export const expression = (text: string) => `\${{ ${text} }}`

/** Of `if:` or `${{ … }}` with these contexts; status functions are `cancelled()` as given. */
export function evaluate(
  text: string,
  contexts: { readonly [key: string]: Value },
  cancelled = false,
): Value {
  const source = text.replace(/^\$\{\{(.*)\}\}$/s, '$1').trim()
  const functions = [
    { name: 'cancelled', minArgs: 0, maxArgs: 0, call: () => new data.BooleanData(cancelled) },
  ]
  const { tokens } = new Lexer(source).lex()
  const tree = new Parser(tokens, Object.keys(contexts), functions).parse()
  const known = new Map(functions.map((one) => [one.name, one]))
  const result = new Evaluator(tree, dictionaryOf(contexts), known).evaluate()
  return JSON.parse(JSON.stringify(result, data.replacer))
}

/** A value of `with:`, in which any `${{ … }}` is replaced by what it comes to; what is not there is empty. */
export function fill(text: string, contexts: { readonly [key: string]: Value }): string {
  return text.replace(/\$\{\{.*?\}\}/gs, (found) => String(evaluate(found, contexts) ?? ''))
}
