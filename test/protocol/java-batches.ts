/**
 * The same four records as kafka-clients 4.3.1 (MemoryRecordsBuilder) writes them with each codec: base offset 1000,
 * producer 77, epoch 3, sequence 42, transactional, leader epoch 9.
 */
export const JAVA_BATCHES: Record<number, string> = {
  // none
  0:
    'AAAAAAAAA+gAAAEwAAAACQL4wb0xABAAAAADAAABi8/laAAAAAGLz+WPDwAAAAAAAABNAAMAAAAqAAAABCIAAAAE' +
    'azAEdjAEAmgCeAJuARgA6AcCAQrDqXTDqQASAM8PBARrMgEAqAMAnpwBBgZiaWeQA3p6enp6enp6enp6enp6enp6' +
    'enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6' +
    'enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6' +
    'enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6AA==',
  // gzip
  1:
    'AAAAAAAAA+gAAACAAAAACQIg1c2sABEAAAADAAABi8/laAAAAAGLz+WPDwAAAAAAAABNAAMAAAAqAAAABB+LCAAA' +
    'AAAAAP9TYmBgYMk2YCkzYGHKYKpgymOUYHjBzsTIdXhlyeGVDEIM5/lZWLKNGBlWMDPMm8PIxpaUmT6BuWqYAAYA' +
    'pqCltP8AAAA=',
  // snappy
  2:
    'AAAAAAAAA+gAAACOAAAACQJn5cYsABIAAAADAAABi8/laAAAAAGLz+WPDwAAAAAAAABNAAMAAAAqAAAABIJTTkFQ' +
    'UFkAAAAAAQAAAAEAAABJ/wHgIgAAAARrMAR2MAQCaAJ4Am4BGADoBwIBCsOpdMOpABIAzw8EBGsyAQCoAwCenAEG' +
    'BmJpZ5ADenp6/gIA/gIA/gIABQIAAA==',
  // lz4
  3:
    'AAAAAAAAA+gAAACCAAAACQIUl0LTABMAAAADAAABi8/laAAAAAGLz+WPDwAAAAAAAABNAAMAAAAqAAAABAQiTRhg' +
    'QIJCAAAA/ygiAAAABGswBHYwBAJoAngCbgEYAOgHAgEKw6l0w6kAEgDPDwQEazIBAKgDAJ6cAQYGYmlnkAN6AQCw' +
    'UHp6enoAAAAAAA==',
  // zstd
  4:
    'AAAAAAAAA+gAAAB9AAAACQLhWwU+ABQAAAADAAABi8/laAAAAAGLz+WPDwAAAAAAAABNAAMAAAAqAAAABCi1L/0A' +
    'WAQCAIQDIgAAAARrMAR2MAQCaAJ4Am4BGADoBwIBCsOpdMOpABIAzw8EBGsyAQCoAwCenAEGBmJpZ5ADegABAEek' +
    'ABQBAAA=',
}

export const JAVA_RECORDS = [
  {
    timestamp: 1_700_000_000_000,
    key: 'k0',
    value: 'v0',
    headers: [
      { key: 'h', value: 'x' },
      { key: 'n', value: null },
    ],
  },
  { timestamp: 1_700_000_000_500, key: null, value: 'été', headers: [] },
  { timestamp: 1_699_999_999_000, key: 'k2', value: null, headers: [] },
  { timestamp: 1_700_000_009_999, key: 'big', value: 'z'.repeat(200), headers: [] },
]
