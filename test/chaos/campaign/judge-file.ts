import { writeFile } from 'node:fs/promises'
import { type CampaignVerdict, check } from './checker.ts'
import { readHistory } from './history.ts'
import { tableOf } from './verdict-table.ts'

export interface JudgedFile {
  readonly passed: boolean
  readonly verdict: CampaignVerdict
  readonly table: string
  readonly verdictFile: string
}

/** Judges a history file and writes the verdict as JSON beside it. */
export async function judgeFile(file: string): Promise<JudgedFile> {
  const verdict = await check(readHistory(file))
  const verdictFile = `${file.replace(/\.jsonl$/, '')}.verdict.json`
  await writeFile(verdictFile, `${JSON.stringify(verdict, null, 2)}\n`)
  return { passed: verdict.passed, verdict, table: tableOf(verdict), verdictFile }
}
