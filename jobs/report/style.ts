/** The report's looks: light, dark and on paper; one file, nothing loaded. */
export const STYLE = `
:root{color-scheme:light dark;--bg:#fff;--text:#151a21;--muted:#56606d;--line:#d9dee5;--soft:#f3f5f8;--own:#2350c8;--own-soft:#2350c826;
--other:#8a5a00;--up:#08705f;--down:#b43a16;--down-soft:#b43a1633;--warn:#6b4500;--warn-bg:#fdf1d8;--warn-line:#e0b45a;--bad-bg:#fbe9e3}
@media (prefers-color-scheme:dark){:root{--bg:#0d1015;--text:#e7eaef;--muted:#9aa5b4;--line:#29303b;--soft:#161b23;--own:#86a8ff;
--own-soft:#86a8ff2e;--other:#f0bf5c;--up:#4cc3a8;--down:#ff9068;--down-soft:#ff906840;--warn:#f7d48a;--warn-bg:#33270d;--warn-line:#7a5c1c;--bad-bg:#3a1d14}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1040px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:18px;margin:36px 0 6px;padding-top:10px;border-top:1px solid var(--line)}
p{margin:0 0 10px;max-width:75ch}
.muted,figcaption,.note{color:var(--muted)}
.note{font-size:13px}
code,pre{font-family:ui-monospace,"SF Mono","Cascadia Mono",Menlo,Consolas,monospace;font-size:13px}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--soft);padding:10px 12px;border-radius:6px;margin:6px 0 12px}
.up{color:var(--up)}.down{color:var(--down)}
.cautions{margin:18px 0;padding:12px 16px 12px 18px;background:var(--warn-bg);color:var(--warn);border:1px solid var(--warn-line);border-left-width:6px;border-radius:6px}
.cautions h2{all:unset;display:block;font-weight:700;font-size:17px;margin-bottom:4px}
.cautions ul{margin:0;padding-left:20px}
.cautions.bad{background:var(--bad-bg);border-color:var(--down);color:var(--text)}
.cards{display:grid;grid-template-columns:repeat(4,1fr);gap:1px;margin:18px 0;background:var(--line);border:1px solid var(--line);border-radius:8px;overflow:hidden}
.card{background:var(--bg);padding:12px 14px}
.card b{display:block;font-size:22px;font-weight:650;font-variant-numeric:tabular-nums;line-height:1.25}
.card span{display:block;font-weight:600}
.card small{display:block;color:var(--muted);font-size:12.5px;line-height:1.35}
.chart{margin:18px 0 0}
figcaption{margin-bottom:8px;font-size:14px}
.key{white-space:nowrap;margin-left:12px}
.key::before{content:"";display:inline-block;width:18px;border-top:3px solid;vertical-align:middle;margin-right:5px}
.key.own::before{border-color:var(--own)}.key.other::before{border-color:var(--other)}
.plot{position:relative;height:280px;margin:8px 20px 0 74px}.chart::after{content:"";display:block;height:38px}
.low .plot{height:150px}
.plot svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.plot path{fill:none;vector-effect:non-scaling-stroke}
.grid{stroke:var(--line);stroke-width:1}
.line{stroke-width:1.6;stroke-linejoin:round}
.line.own{stroke:var(--own)}.line.other{stroke:var(--other);stroke-dasharray:4 3}.line.down{stroke:var(--down)}
.plot path.fill{stroke:none}.plot path.fill.own{fill:var(--own-soft)}.plot path.fill.down{fill:var(--down-soft)}
rect.up{fill:var(--up)}rect.down{fill:var(--down)}
.dots{stroke-width:5;stroke-linecap:round;stroke-opacity:.55}.dots.up{stroke:var(--up)}.dots.down{stroke:var(--down)}
.y,.x{position:absolute;font-size:12px;color:var(--muted);white-space:nowrap;font-variant-numeric:tabular-nums}
.y{right:100%;margin-right:8px;transform:translateY(-50%)}
.x{top:100%;margin-top:6px;transform:translateX(-50%)}
.wide{overflow-x:auto;margin:8px 0 14px}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:4px 10px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--muted);font-size:12.5px;white-space:nowrap}
tbody th{color:var(--text);font-size:inherit;white-space:normal}
.n{text-align:right;white-space:nowrap}.n+th,.n+td{padding-left:12px}.t{white-space:nowrap}
.break{overflow-wrap:anywhere}
.heat td,.heat thead th{text-align:right;padding:4px 6px}
.heat td{border:2px solid var(--bg);white-space:nowrap}
.own-row{font-weight:650}
.columns{columns:2 400px;column-gap:32px}.columns .wide{break-inside:avoid;margin-top:0}
footer{margin-top:40px;padding-top:10px;border-top:1px solid var(--line);color:var(--muted);font-size:13px}
@media (max-width:600px){main{padding:18px 14px 40px}h1{font-size:21px}.cards{grid-template-columns:1fr 1fr}.card{padding:10px}.card b{font-size:18px}
.plot{height:210px;margin-left:58px;margin-right:10px}.low .plot{height:120px}.minor{display:none}.y,.x{font-size:11px}}
@page{size:A4;margin:14mm 12mm}
@media print{:root{color-scheme:light;--bg:#fff;--text:#151a21;--muted:#56606d;--line:#d9dee5;--soft:#f3f5f8;--own:#2350c8;--own-soft:#2350c826;--other:#8a5a00;
--up:#08705f;--down:#b43a16;--down-soft:#b43a1633;--warn:#6b4500;--warn-bg:#fdf1d8;--warn-line:#e0b45a;--bad-bg:#fbe9e3}
body{font-size:10pt;-webkit-print-color-adjust:exact;print-color-adjust:exact}main{max-width:none;padding:0}
table{font-size:8.5pt}th,td{padding:2px 6px 2px 0}.heat td,.heat thead th{padding:2px 3px;font-size:8pt}
figure,.card,tr,.cautions{break-inside:avoid}h2{break-after:avoid}thead{display:table-header-group}.plot{height:200px}.low .plot{height:110px}.chart::after{height:30px}
.card b{font-size:13pt}.card small{font-size:8pt}.wide{overflow:visible}}
`
