/**
 * npm run chaos:check -- file
 * Judges the history of a campaign from the file alone. Exit code: 0 passed, 1 violated, 2 not understood.
 */
import { judgeFile } from './judge-file.ts'

const [file] = process.argv.slice(2)
if (file === undefined) {
  process.stderr.write('usage: npm run chaos:check -- history.jsonl\n')
  process.exitCode = 2
} else {
  const { passed, table, verdictFile } = await judgeFile(file)
  process.stdout.write(`${table}\n`)
  process.stderr.write(`verdict: ${verdictFile}\n`)
  process.exitCode = passed ? 0 : 1
}
