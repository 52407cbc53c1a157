import type { FastifyInstance } from 'fastify'
import { PROBLEMS, type ProblemKind } from './problem.ts'

/** What the `type` of a problem leads to. */
export async function problemRoutes(app: FastifyInstance): Promise<void> {
  for (const kind of Object.keys(PROBLEMS) as ProblemKind[]) {
    const type = `/problems/${kind}`
    app.get(type, async () => ({ type, ...PROBLEMS[kind] }))
  }
}
