/** An answer of GitHub that refuses. */
export class Refusal extends Error {
  readonly status: number
  readonly errors: readonly FieldError[]
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    message: string,
    { errors = [], headers = {} }: { errors?: readonly FieldError[]; headers?: Record<string, string> } = {},
  ) {
    super(message)
    this.status = status
    this.errors = errors
    this.headers = headers
  }
}

/** What is wrong with one field, in GitHub's words. */
export interface FieldError {
  readonly resource: string
  readonly code: 'already_exists' | 'custom' | 'invalid' | 'missing' | 'missing_field' | 'unprocessable'
  readonly field?: string
  readonly message?: string
}

export function notFound(): Refusal {
  return new Refusal(404, 'Not Found')
}

export function validationFailed(...errors: FieldError[]): Refusal {
  return new Refusal(422, 'Validation Failed', { errors })
}
