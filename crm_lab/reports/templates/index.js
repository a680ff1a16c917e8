(function(){
var form=document.getElementById("filters"),rows=Array.from(document.querySelectorAll("#runs tr"));
var named=function(name){return document.getElementById(name);};
var words=named("words"),kind=named("kind"),subject=named("subject"),since=named("since"),until=named("until"),status=named("status");
var more=named("more"),first=Number(form.dataset.first),all=false;
var texts=rows.map(function(row){return row.textContent.toLowerCase();});
function apply(){
var asked=words.value.toLowerCase().split(/\s+/).filter(Boolean),shown=0,kept=0;
var free=!asked.length&&!kind.value&&!subject.value&&!since.value&&!until.value&&!status.value;
rows.forEach(function(row,i){
var data=row.dataset;
var fits=(!kind.value||data.kind===kind.value)&&(!subject.value||data.subject===subject.value)&&(!status.value||data.status===status.value)&&(!since.value||data.day>=since.value)&&(!until.value||data.day<=until.value)&&asked.every(function(word){return texts[i].includes(word);});
if(fits){shown+=1;}
var seen=fits&&(all||!free||shown<=first);
if(seen){kept+=1;}
row.hidden=!seen;
});
named("no-match").hidden=shown>0;
more.hidden=kept===shown;
}
form.hidden=false;
form.addEventListener("input",apply);
form.addEventListener("submit",function(event){event.preventDefault();});
named("show-all").addEventListener("click",function(){all=true;apply();});
apply();
}());
