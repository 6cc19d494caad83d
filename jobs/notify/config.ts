/** Where messages go, who hears of what, and the switch that is told that Weaver lives: their part of the configuration. */
import { z } from 'zod'
import { protect, type Secret } from '../../db/secrets.ts'
import { isLoopback, list, secret, whole } from '../config/values.ts'
import { NOTICE_KINDS, type NoticeKind } from '../glados/notices.ts'

export interface NotifyConfig {
  webhook: { url: Secret; host: string; secret: Secret | null } | null
  telegram: { token: Secret; chatId: string; baseUrl: string } | null
  mail: { url: Secret; host: string; from: string; to: readonly string[] } | null
  /** What is told at all. */
  kinds: readonly NoticeKind[]
  /** Of runs and accounts in these modes. */
  modes: readonly ('paper' | 'live')[]
  /** What happened longer ago is not told any more. */
  maxAgeMs: number
  /** Messages of one kind to one channel in a minute; what is beyond is summed up. */
  perMinute: number
}

export const TELEGRAM_URL = 'https://api.telegram.org'
const SHORTEST_SECRET = 16
const LONGEST_AGE_S = 604_800
const MOST_PER_MINUTE = 1_000
const MOST_RECIPIENTS = 20

/** Refuses what `fetch` would refuse later, and what would stand in logs of others. */
function isWebAddress(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password } = new URL(text)
  return /^https?:$/.test(protocol) && username === '' && password === ''
}

const isMailServer = (text: string) => URL.canParse(text) && /^smtps?:$/.test(new URL(text).protocol)
/** Only what keeps it one address: the mail server knows the rest. */
const isMailAddress = (text: string) => /^[^\s@<>,;"]+@[^\s@<>,;"]+$/.test(text)

/** Shorter ones are ordinary words: `/webhook`. */
const SHORTEST_PATH = 16

const webAddress = secret(
  z.string().refine(isWebAddress, 'must be an address with http:// or https://, without a user or a password'),
).transform((address) => {
  // Who is asked for it may answer with the path alone, and what it holds is often the key.
  const { pathname, search } = new URL(address.reveal())
  for (const part of [`${pathname}${search}`, pathname, search]) if (part.length >= SHORTEST_PATH) protect(part)
  return address
})

/** For the schema of the environment. */
export const notifyVariables = {
  WEAVER_WEBHOOK_URL: webAddress.optional(),
  WEAVER_WEBHOOK_SECRET: secret(
    z.string().min(SHORTEST_SECRET, `must have at least ${SHORTEST_SECRET} characters`),
  ).optional(),
  WEAVER_TELEGRAM_BOT_TOKEN: secret(
    z.string().regex(/^\d+:[\w-]{10,}$/, 'must be a token as @BotFather gives it, like 123456:ABC-…'),
  ).optional(),
  WEAVER_TELEGRAM_CHAT_ID: z
    .string()
    .regex(/^(-?\d+|@\w+)$/, 'must be a number, or a channel like @weaver')
    .optional(),
  WEAVER_TELEGRAM_BASE_URL: z
    .string()
    .refine(isWebAddress, 'must be an address with http:// or https://')
    .transform((text) => text.replace(/\/+$/, ''))
    .default(TELEGRAM_URL),
  WEAVER_SMTP_URL: secret(
    z.string().refine(isMailServer, 'must look like smtps://user:password@host:465, or smtp://… with port 587'),
  ).optional(),
  WEAVER_MAIL_FROM: z.string().refine(isMailAddress, 'must be a mail address').optional(),
  WEAVER_MAIL_TO: list(isMailAddress, 'must be mail addresses, separated by commas')
    .refine((all) => all.length > 0 && all.length <= MOST_RECIPIENTS, `must be 1 to ${MOST_RECIPIENTS} mail addresses`)
    .optional(),
  WEAVER_NOTIFY: list(
    (text) => (NOTICE_KINDS as readonly string[]).includes(text),
    `must be some of ${NOTICE_KINDS.join(',')}`,
  ).default([...NOTICE_KINDS]),
  WEAVER_NOTIFY_MODES: list((text) => text === 'paper' || text === 'live', 'must be paper, live or paper,live').default(
    ['paper', 'live'],
  ),
  WEAVER_NOTIFY_MAX_AGE: whole(60, LONGEST_AGE_S).default(3_600),
  WEAVER_NOTIFY_PER_MINUTE: whole(1, MOST_PER_MINUTE).default(10),
  WEAVER_HEARTBEAT_URL: webAddress.optional(),
}

/** Those whose value no message shows. */
export const NOTIFY_SECRETS = [
  'WEAVER_WEBHOOK_URL',
  'WEAVER_WEBHOOK_SECRET',
  'WEAVER_TELEGRAM_BOT_TOKEN',
  'WEAVER_SMTP_URL',
  'WEAVER_HEARTBEAT_URL',
] as const

const Variables = z.object(notifyVariables)
export type NotifyVariables = z.output<typeof Variables>

const hostOf = (address: Secret) => new URL(address.reveal()).host
const isHere = (address: string) => isLoopback(new URL(address).hostname.replace(/^\[(.*)\]$/, '$1'))

/** What is set without what it needs, by name. */
export function notifyProblems(given: Readonly<Record<string, string | undefined>>): string[] {
  const problems: string[] = []
  const needs = (name: string, others: readonly string[]) => {
    if (given[name] === undefined) return
    for (const other of others) {
      if (given[other] === undefined) problems.push(`${other} must be set when ${name} is`)
    }
  }
  needs('WEAVER_WEBHOOK_SECRET', ['WEAVER_WEBHOOK_URL'])
  needs('WEAVER_TELEGRAM_BOT_TOKEN', ['WEAVER_TELEGRAM_CHAT_ID'])
  needs('WEAVER_TELEGRAM_CHAT_ID', ['WEAVER_TELEGRAM_BOT_TOKEN'])
  needs('WEAVER_SMTP_URL', ['WEAVER_MAIL_FROM', 'WEAVER_MAIL_TO'])
  needs('WEAVER_MAIL_FROM', ['WEAVER_SMTP_URL'])
  needs('WEAVER_MAIL_TO', ['WEAVER_SMTP_URL'])
  const webhook = given.WEAVER_WEBHOOK_URL
  if (webhook !== undefined && isWebAddress(webhook) && !isHere(webhook) && given.WEAVER_WEBHOOK_SECRET === undefined) {
    problems.push(
      'WEAVER_WEBHOOK_SECRET must be set: messages that leave this machine are signed with it (openssl rand -hex 32 makes one)',
    )
  }
  const telegram = given.WEAVER_TELEGRAM_BASE_URL
  if (telegram !== undefined && isWebAddress(telegram) && !telegram.startsWith('https:') && !isHere(telegram)) {
    problems.push('WEAVER_TELEGRAM_BASE_URL must begin with https://: the token is sent there')
  }
  return problems
}

export function notifyOf(read: NotifyVariables): NotifyConfig {
  const { WEAVER_WEBHOOK_URL: webhook, WEAVER_TELEGRAM_BOT_TOKEN: token, WEAVER_SMTP_URL: smtp } = read
  return Object.freeze({
    webhook:
      webhook === undefined
        ? null
        : { url: webhook, host: hostOf(webhook), secret: read.WEAVER_WEBHOOK_SECRET ?? null },
    telegram:
      token === undefined
        ? null
        : { token, chatId: read.WEAVER_TELEGRAM_CHAT_ID as string, baseUrl: read.WEAVER_TELEGRAM_BASE_URL },
    mail:
      smtp === undefined
        ? null
        : { url: smtp, host: hostOf(smtp), from: read.WEAVER_MAIL_FROM as string, to: read.WEAVER_MAIL_TO as string[] },
    kinds: Object.freeze(read.WEAVER_NOTIFY as NoticeKind[]),
    modes: Object.freeze(read.WEAVER_NOTIFY_MODES as ('paper' | 'live')[]),
    maxAgeMs: read.WEAVER_NOTIFY_MAX_AGE * 1_000,
    perMinute: read.WEAVER_NOTIFY_PER_MINUTE,
  })
}
