/**
 * Header of a row, in decimal digits: the partition to publish to, instead of the key's. It is for the relay, and no
 * header of the record. Order stays that of the key, in whatever partitions its events lie.
 */
export const PARTITION_HEADER = 'sluice-partition'

/** Kafka's partitions are signed 32-bit integers. */
const PARTITION_MAX = 2 ** 31 - 1

/** @returns null: a text that is no partition's number */
export function partitionOfText(text: string): number | null {
  if (!/^(0|[1-9][0-9]{0,9})$/.test(text)) return null
  const partition = Number(text)
  return partition <= PARTITION_MAX ? partition : null
}
