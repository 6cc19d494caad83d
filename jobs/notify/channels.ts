/** The ways out: a webhook, a Telegram chat, a mail server. Each sends one message once; who calls decides about the next try. */
import { createHmac } from 'node:crypto'
import { redact } from '../../db/secrets.ts'
import type { ChannelName, NoticeKind, NoticeLevel } from '../../db/walle/notice_rows.ts'
import { isLoopback } from '../config/values.ts'
import type { NotifyConfig } from './config.ts'

export interface Message {
  /** The same however often it is sent: who receives it twice leaves out the second. */
  id: string
  kind: NoticeKind | 'test'
  type: string
  level: NoticeLevel
  title: string
  text: string
  run_id: string | null
  order_id: string | null
  mode: string | null
  ts: string
  /** Where to read more; null: nowhere. */
  url: string | null
}

export interface Channel {
  name: ChannelName
  /** Where it leads, for people; without a secret. */
  target: string
  /** Throws, in words without a secret, what went wrong. */
  send(message: Message): Promise<void>
}

/** Of one try, whichever way out. */
export const SEND_TIMEOUT_MS = 10_000
const LONGEST_ANSWER = 300
/** Telegram takes 4,096. */
const LONGEST_TEXT = 4_000

export function createChannels(
  { webhook, telegram, mail }: Pick<NotifyConfig, 'webhook' | 'telegram' | 'mail'>,
  now: () => number,
  timeoutMs = SEND_TIMEOUT_MS,
): Channel[] {
  const post: Post = (url, body, headers) => postTo(url, body, { headers, timeoutMs })
  return [
    ...(webhook === null ? [] : [webhookChannel(webhook, post, now)]),
    ...(telegram === null ? [] : [telegramChannel(telegram, post)]),
    ...(mail === null ? [] : [mailChannel(mail, timeoutMs)]),
  ].map((channel) => ({ ...channel, send: told(channel) }))
}

/** A failure in one line, with the channel's name. */
function told({ name, send }: Channel): Channel['send'] {
  return async (message) => {
    try {
      await send(message)
    } catch (error) {
      throw new Error(redact(`${name}: ${reasonOf(error)}`))
    }
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.name === 'TimeoutError') return 'no answer in time'
  return error.cause instanceof Error && error.cause.message !== ''
    ? `${error.message}: ${error.cause.message}`
    : error.message
}

/** `t=<unix seconds>,v1=<HMAC-SHA-256 of "t.body", hex>`: whoever knows the secret can tell that it is ours, and of when. */
export function signatureOf(secret: string, seconds: number, body: string): string {
  return `t=${seconds},v1=${createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')}`
}

type Post = (url: string, body: string, headers?: Record<string, string>) => Promise<void>

function webhookChannel(
  { url, host, secret }: NonNullable<NotifyConfig['webhook']>,
  post: Post,
  now: () => number,
): Channel {
  return {
    name: 'webhook',
    target: secret === null ? `${host}, unsigned` : host,
    async send(message) {
      const body = JSON.stringify(message)
      const signature = secret === null ? null : signatureOf(secret.reveal(), Math.floor(now() / 1000), body)
      await post(url.reveal(), body, {
        'x-weaver-delivery': message.id,
        ...(signature !== null && { 'x-weaver-signature': signature }),
      })
    },
  }
}

function telegramChannel({ token, chatId, baseUrl }: NonNullable<NotifyConfig['telegram']>, post: Post): Channel {
  return {
    name: 'telegram',
    target: `chat ${chatId}`,
    async send(message) {
      const body = { chat_id: chatId, text: plainText(message), link_preview_options: { is_disabled: true } }
      await post(`${baseUrl}/bot${token.reveal()}/sendMessage`, JSON.stringify(body))
    },
  }
}

function mailChannel({ url, host, from, to }: NonNullable<NotifyConfig['mail']>, timeoutMs: number): Channel {
  return {
    name: 'mail',
    target: `${to.join(', ')} by ${host}`,
    async send(message) {
      const { createTransport } = await import('nodemailer')
      const address = new URL(url.reveal())
      const transport = createTransport({
        url: url.reveal(),
        // A password never goes over the network in clear.
        requireTLS: address.protocol === 'smtp:' && !isLoopback(address.hostname),
        connectionTimeout: timeoutMs,
        greetingTimeout: timeoutMs,
        socketTimeout: timeoutMs,
        disableFileAccess: true,
        disableUrlAccess: true,
      })
      try {
        await transport.sendMail({
          from,
          to: [...to],
          subject: `[Weaver] ${message.title}`,
          text: plainText(message),
          messageId: `<${message.id}@weaver>`,
          headers: { 'X-Weaver-Delivery': message.id, 'Auto-Submitted': 'auto-generated' },
        })
      } finally {
        transport.close()
      }
    },
  }
}

function plainText({ title, text, ts, url }: Message): string {
  const told = [title, '', text, '', ts, ...(url === null ? [] : [url])].join('\n')
  return told.length <= LONGEST_TEXT ? told : `${told.slice(0, LONGEST_TEXT - 1)}…`
}

async function postTo(
  url: string,
  body: string,
  { headers, timeoutMs }: { headers: Record<string, string> | undefined; timeoutMs: number },
): Promise<void> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'user-agent': 'weaver', ...headers },
    body,
    // Whoever answers with another address would be sent what was meant for this one.
    redirect: 'manual',
    signal: AbortSignal.timeout(timeoutMs),
  })
  await mustBeTaken(answer)
}

export async function mustBeTaken(answer: Response): Promise<void> {
  if (answer.ok) return answer.body?.cancel()
  const { status } = answer
  if (status >= 300 && status < 400) {
    await answer.body?.cancel()
    throw new Error(`answered ${status}: it leads elsewhere, and redirects are not followed: set the final address`)
  }
  const words = (await beginningOf(answer)).replaceAll(/\s+/g, ' ').trim()
  throw new Error(`answered ${status}${words === '' ? '' : `: ${words}`}`)
}

/** However much more there is. */
async function beginningOf({ body }: Response): Promise<string> {
  if (body === null) return ''
  const reader = body.getReader()
  const { value } = await reader.read()
  await reader.cancel()
  return new TextDecoder().decode(value?.subarray(0, LONGEST_ANSWER))
}
